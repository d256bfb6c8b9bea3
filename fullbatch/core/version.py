"""The version of this program, as `--version` and backups say it."""

VERSION = "0.1.0"
