"""The command line."""

from fullbatch.cli.commands import main

__all__ = ["main"]
