"""The allow-list of paths, and the endpoints that the gateway answers without an engine."""
