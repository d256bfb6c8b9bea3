"""Names of the pinned engine's parsers, of tool calls and of reasoning: engine_registries.yaml, recorded from it."""

from __future__ import annotations

from functools import cache

from fullbatch.catalog import read


@cache
def tool() -> frozenset[str]:
    """What `--tool-call-parser` takes."""
    return frozenset(read("engine_registries.yaml")["tool"])


@cache
def reasoning() -> frozenset[str]:
    """What `--reasoning-parser` takes."""
    return frozenset(read("engine_registries.yaml")["reasoning"])


def recorded_version() -> str:
    """The version that was asked."""
    return str(read("engine_registries.yaml")["version"])
