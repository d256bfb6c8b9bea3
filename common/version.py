"""The version of all programs here; pyproject.toml, the gateway's metrics and backups take it from this line."""

VERSION = "0.1.0"
