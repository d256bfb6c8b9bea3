"""A deployment from its start to its end, whichever runtime it runs in."""
