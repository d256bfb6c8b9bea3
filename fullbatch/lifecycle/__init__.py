"""A deployment from start to end, in any runtime."""
