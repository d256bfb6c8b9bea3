"""Another box's gateway as an engine: how to reach it, and what it says when it is asked. Not on the data path."""

from __future__ import annotations

import time

import orjson

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
    """What every request to it says beside the rest: which key, and, to a peer, that it comes from a gateway."""
    lines = b""
    if engine.key is not None:
        lines += b"authorization: Bearer %b\r\n" % engine.key.get_secret_value().encode("ascii")
    if engine.kind == "peer":
        lines += b"%b: %b\r\n" % (peer_report.VIA, own_id.encode())
    return lines


# So often a server that is not ours is asked for its models, and for nothing else: its tokens are somebody's money.
OUTSIDE_S = 15.0


async def look(replica: Replica, own_id: str) -> tuple[set[str], Report | None, str]:
    """Ask a peer: which of its models it serves now, signs of life, and why it serves none.

    Raises:
        PeerRefused: it is not to be used.
        OSError: it could not be asked.
    """
    if replica.spills:
        return await _look_outside(replica)
    status, body = await ask(replica, peer_report.PATH)
    found = peer_report.read(status, body, time.time(), own_id)
    served, why_none = peer_report.serving(found, replica.engine.models)
    report, free, load, count = peer_report.of_models(found, replica.engine.models)
    replica.peer_says(free, load, count)
    return served, report, why_none


async def _look_outside(replica: Replica) -> tuple[set[str], Report | None, str]:
    """Which of the models it lists, by the name that they have there.

    Raises:
        PeerRefused: it does not list them.
        OSError: it could not be asked.
    """
    now = replica.pool.now()
    if replica.listed and now - replica.tried_at < OUTSIDE_S:
        return set(replica.listed), None, ""
    status, body = await ask(replica, b"/v1/models")
    if status != 200:
        raise peer_report.PeerRefused(f"it answers {status} at /v1/models; look at its key")
    replica.tried_at = now
    there = listed_models(body)
    spill = replica.engine.spill
    named = spill.model if spill is not None else None
    served = {model for model in replica.engine.models if (named or model) in there}
    replica.answers_again()
    return served, None, f"it does not list {named or ' or '.join(replica.engine.models)} at /v1/models"


def listed_models(body: bytes) -> set[str]:
    """The ids of an answer of `/v1/models`; none where it is none."""
    try:
        return {str(card["id"]) for card in orjson.loads(body)["data"]}
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return set()
