"""Finds the deployment that runs, and reads /metrics of its gateway and engines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fullbatch.core.errors import StateError, not_running
from fullbatch.runtime import registry


@dataclass(frozen=True)
class MetricsSource:
    """A running deployment. Each of `read_*` gives Prometheus text, empty when nothing answers."""

    profile: str
    runtime: str
    gateway_url: str
    read_gateway: Callable[[], str]
    read_engines: Callable[[], str]


def find(root: Path, profile: str | None) -> MetricsSource:
    """The one that runs, or `profile`; StateError when that is none, or when it has to be chosen."""
    found = [one for one in registry.running(root) if profile in (None, one.profile)]
    if not found:
        raise not_running(profile)
    if len(found) > 1:
        names = ", ".join(one.profile for one in found)
        raise StateError(f"several profiles are running ({names}); name one: fullbatch top PROFILE")
    one = found[0]
    return MetricsSource(one.profile, one.runtime, one.gateway_url, one.gateway_metrics, one.engine_metrics)
