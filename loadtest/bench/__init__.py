"""What the load test itself is worth, measured. No product: docs/decisions/0011-client-truth.md keeps the numbers."""
