"""What the load test itself is worth, measured; docs/decisions/0010-generating-load.md keeps the numbers."""
