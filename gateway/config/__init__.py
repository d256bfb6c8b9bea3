"""Settings: gateway.yaml and the key file, read at the start and when they change."""
