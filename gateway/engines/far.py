"""Another box's gateway as an engine: how to reach it, and what it says when it is asked. Not on the data path."""

from __future__ import annotations

import time

from gateway.config.settings import EngineSettings
from gateway.engines import peer_report
from gateway.engines.query import ask
from gateway.engines.replica import Replica
from gateway.engines.vllm_metrics import Report
from gateway.http import tls


def secured(engine: EngineSettings) -> tls.Tls | None:
    """How to connect to it; None without TLS."""
    return tls.Tls(tls.context(engine.ca), engine.host) if engine.secure else None


def header_lines(engine: EngineSettings, own_id: str) -> bytes:
    """What every request to it says beside the rest: which key, and that it comes from a gateway."""
    if engine.kind != "peer" or engine.key is None:
        return b""
    key = engine.key.get_secret_value().encode("ascii")
    return b"authorization: Bearer %b\r\n%b: %b\r\n" % (key, peer_report.VIA, own_id.encode())


async def look(replica: Replica, own_id: str) -> tuple[set[str], Report, str]:
    """Ask a peer: which of its models it serves now, signs of life, and why it serves none.

    Raises:
        PeerRefused: it is not to be used.
        OSError: it could not be asked.
    """
    status, body = await ask(replica, peer_report.PATH)
    found = peer_report.read(status, body, time.time(), own_id)
    served, why_none = peer_report.serving(found, replica.engine.models)
    report, free, load, count = peer_report.of_models(found, replica.engine.models)
    replica.peer_says(free, load, count)
    return served, report, why_none
