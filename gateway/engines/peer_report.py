"""What one gateway tells another at `/peer`: which models its own engines serve, and how much room they have.

Written by `api.peer_endpoint` on the far side; read here, by polling and by `fullbatch peers add`. Pure.

PeerRefused   the other side is not to be used; one line that says why and what would be right
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from gateway.config.setting_types import PictureSettings
from gateway.engines.vllm_metrics import Report

# Raised whenever a gateway of before would misread an answer or a request of one of today.
PROTOCOL = 1
PATH = b"/peer"
# Who sends: its presence says that the request has crossed a wire already, so it crosses no other and does not wait.
VIA = b"x-fullbatch-via"
# Keys expire and usage is booked by the far clock; beyond this the two boxes would disagree about today.
MOST_SKEW_S = 300.0


class PeerRefused(Exception):
    pass


@dataclass(frozen=True, slots=True)
class PeerEngine:
    """One engine behind the other gateway; its addresses together.

    ``models``: those that it serves now, of ``configured``. ``free``: requests that it would take at once.
    ``load``: what its requests are expected to cost still, at its ``addresses`` that are up; ``generated``: tokens
    since their start.
    """

    name: str
    models: tuple[str, ...]
    configured: tuple[str, ...]
    reason: str
    max_num_seqs: int
    max_num_batched_tokens: int
    max_model_len: int
    kv_cache_tokens: int
    running: int
    waiting: int
    free: int
    addresses: int
    load: float
    generated: float
    capabilities: tuple[str, ...] | None = None
    adapters: dict[str, str] | None = None
    pictures: PictureSettings | None = None


@dataclass(frozen=True, slots=True)
class PeerReport:
    """All of it. ``id``: another one at each start; ``time``: Unix time there."""

    protocol: int
    version: str
    id: str
    time: float
    engines: tuple[PeerEngine, ...]


_REPORT = TypeAdapter(PeerReport)


def read(status: int, body: bytes, now: float, own_id: str = "") -> PeerReport:
    """An answer of `/peer`, judged.

    Args:
        now: Unix time here.
        own_id: of the gateway that asks.

    Raises:
        PeerRefused: another version, key, clock, program; or it is the gateway that asks.
    """
    if status in (401, 403):
        raise PeerRefused(f"it does not take our key (it answers {status}); make one there: fullbatch keys create NAME")
    if status != 200:
        raise PeerRefused(f"it is no Fullbatch gateway that knows peers (it answers {status} at /peer); update it")
    protocol = _protocol(body)
    if protocol != PROTOCOL:
        raise PeerRefused(
            f"it speaks version {protocol} of the peers' protocol and this gateway {PROTOCOL}; update one"
        )
    try:
        report = _REPORT.validate_json(body)
    except ValidationError:
        raise PeerRefused("its answer at /peer cannot be read, though its version is ours") from None
    if own_id and report.id == own_id:
        raise PeerRefused("it is this gateway itself; give the address of another box")
    skew = report.time - now
    if abs(skew) > MOST_SKEW_S:
        direction = "ahead of" if skew > 0 else "behind"
        raise PeerRefused(f"its clock is {abs(skew):.0f} s {direction} ours; set both by NTP")
    return report


def serving(report: PeerReport, models: Collection[str]) -> tuple[set[str], str]:
    """Which of these models it serves now; and why not, where it is none."""
    engines = [engine for engine in report.engines if not set(models).isdisjoint(engine.configured)]
    found = {model for engine in engines for model in engine.models if model in models}
    if not engines:
        return found, f"it serves none of {', '.join(models)} any more"
    return found, "" if found else "; ".join(dict.fromkeys(engine.reason or "not up" for engine in engines))


def of_models(report: PeerReport, models: Collection[str]) -> tuple[Report, int, float, int]:
    """For these models: signs of life as an engine would give them, free places, load of each, and how many they are.

    In the order of the words: `Report`, places, tokens for each engine, engines.
    """
    engines = [engine for engine in report.engines if not set(models).isdisjoint(engine.configured)]
    seen = Report(
        running=float(sum(engine.running for engine in engines)),
        waiting=float(sum(engine.waiting for engine in engines)),
        kv_usage=0.0,
        iterations=0.0,
        generation_tokens=sum(engine.generated for engine in engines),
        prompt_tokens=0.0,
        preemptions=0.0,
    )
    count = sum(engine.addresses for engine in engines)
    load = sum(engine.load for engine in engines) / max(1, count)
    return seen, sum(engine.free for engine in engines), load, count


def _protocol(body: bytes) -> Any:
    try:
        return TypeAdapter(dict[str, Any]).validate_json(body).get("protocol")
    except ValidationError:
        raise PeerRefused("it is no Fullbatch gateway that knows peers (no JSON at /peer)") from None
