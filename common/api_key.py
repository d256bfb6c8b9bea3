"""Secrets that we make: API keys, and passwords of services."""

from __future__ import annotations

import secrets

# What usage, logs and dashboards call the key that is made first.
FIRST = "first"
# Stands after the name of a key of the key file whose owner says in a header for whom it asks (gateway.keys.users).
TRUSTED = "trusted"
# 24 random bytes are 32 URL-safe characters.
_RANDOM_BYTES = 24


def new_key() -> str:
    """An API key, told by its beginning from those of others: ``fb-`` and 32 characters."""
    return f"fb-{new_secret()}"


def new_secret() -> str:
    """32 URL-safe characters that nobody guesses."""
    return secrets.token_urlsafe(_RANDOM_BYTES)
