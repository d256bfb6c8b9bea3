"""How many connections and requests fit into the limit on open files."""

from __future__ import annotations

import resource

from gateway.config.loader import SettingsError
from gateway.config.settings import Limits
from gateway.http.server import SPARE_CONNECTIONS

# Files that are no connections: listening socket, log, store, loop, and what engines are asked how they are with.
OTHER_FILES = 64
# With fewer requests at once a gateway is of no use.
LEAST_REQUESTS = 16
LEAST_FILES = OTHER_FILES + SPARE_CONNECTIONS + 2 * LEAST_REQUESTS


def fitted(limits: Limits) -> tuple[Limits, str]:
    """Raise the soft limit on open files as far as needed and allowed; what fits into it, and what that lowers.

    A request needs two files: its client's connection and one to an engine. The second is empty if nothing is lowered.

    Raises:
        SettingsError: not even `LEAST_REQUESTS` fit.
    """
    need = limits.max_connections + SPARE_CONNECTIONS + limits.max_in_flight + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < need:
        soft = need if hard == resource.RLIM_INFINITY else min(need, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return share(limits, soft)


def share(limits: Limits, files: int) -> tuple[Limits, str]:
    """The same for so many files. Pure."""
    if files < LEAST_FILES:
        raise SettingsError(
            [f"open files: this process may have {files}, and at least {LEAST_FILES} are needed; {_REMEDY}"]
        )
    room = files - OTHER_FILES - SPARE_CONNECTIONS
    if room >= limits.max_connections + limits.max_in_flight:
        return limits, ""
    in_flight = min(limits.max_in_flight, room // 2)
    connections = min(limits.max_connections, room - in_flight)
    changed = {"max_in_flight": in_flight, "max_connections": connections}
    told = ", ".join(f"limits.{name} is {value}" for name, value in changed.items() if value < getattr(limits, name))
    return limits.model_copy(update=changed), f"open files: this process may have {files}, so {told}; {_REMEDY}"


_REMEDY = "raise the hard limit (ulimit -Hn, in Compose `ulimits: {nofile: 65536}`)"
