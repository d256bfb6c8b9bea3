"""API keys: authentication, rate limits, the key store, usage."""
