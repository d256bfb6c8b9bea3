"""A profile and the facts of the catalog -> a plan: sizes, flags, limits, each with its reason. Pure."""
