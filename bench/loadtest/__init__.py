"""Measures the load test itself; docs/decisions/0010-generating-load.md keeps the numbers."""
