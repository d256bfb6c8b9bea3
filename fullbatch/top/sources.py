"""Which deployment runs, and how its gateway's and its engines' /metrics are read in either runtime."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fullbatch.core import http
from fullbatch.core.errors import StateError
from fullbatch.runtime.compose import deployment as compose
from fullbatch.runtime.process import state
from fullbatch.runtime.process.deployment import Ports

TIMEOUT_SECONDS = 3.0


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
    found = [_of_processes(one) for one in state.running(root)]
    in_docker = compose.running_profile()
    if in_docker:
        found.append(_of_containers(in_docker))
    found = [one for one in found if profile in (None, one.profile)]
    if not found:
        raise StateError(f"profile '{profile}' is not running" if profile else "nothing is running")
    if len(found) > 1:
        names = ", ".join(one.profile for one in found)
        raise StateError(f"several profiles are running ({names}); say which: fullbatch top PROFILE")
    return found[0]


def _of_processes(known: state.ProcessRun) -> MetricsSource:
    urls = list(known.engine_urls.values())
    return MetricsSource(
        known.profile, "process", known.gateway_url,
        read_gateway=lambda: _metrics(known.gateway_url),
        read_engines=lambda: "".join(_metrics(url) for url in urls),
    )  # fmt: skip


def _of_containers(profile: str) -> MetricsSource:
    url = compose.published_gateway() or f"http://127.0.0.1:{Ports().gateway}"
    return MetricsSource(
        profile, "compose", url,
        # A gateway from before an update has its one port only.
        read_gateway=lambda: compose.gateway_metrics() or _metrics(url),
        read_engines=compose.engine_metrics,
    )  # fmt: skip


def _metrics(url: str) -> str:
    answer = http.get(f"{url}/metrics", TIMEOUT_SECONDS)
    return answer.text if answer.status == 200 else ""
