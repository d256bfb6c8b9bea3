"""The paths, and what is answered without an engine."""
