"""What the engines say of themselves while a run lasts: their /metrics and processes, sampled beside the client."""
