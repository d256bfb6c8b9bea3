"""How an engine is as a whole, from how its addresses are. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.config.settings import EngineSettings
from gateway.engines.replica import Replica, ReplicaState

# The first of them that one of an engine's addresses has is the engine's.
STATES: tuple[ReplicaState, ...] = ("up", "stalled", "starting", "resting", "down")
RETRY_AFTER_S: dict[ReplicaState, int] = {"starting": 5, "stalled": 5, "resting": 5, "down": 2, "up": 1}


@dataclass(frozen=True, slots=True)
class Health:
    """An engine as a whole: as good as its best address (`STATES`).

    ``reason``: why one of them is not up, for those who run it; ``told``: the same without addresses, for clients.
    ``overflow``: a server that is not ours, for a few.
    ``stuck``: those whose structured output is stuck, each with the Unix time since when.
    """

    name: str
    state: ReplicaState
    since: float
    reason: str
    told: str
    up: int
    replicas: int
    models: tuple[str, ...]
    stuck: tuple[tuple[str, float], ...] = ()
    overflow: bool = False


def of_engine(engine: EngineSettings, found: list[Replica], no_address: str, started: float) -> Health:
    """What its addresses come to.

    Args:
        found: its addresses.
        no_address: why there is none, where there is none; and ``started``, the Unix time since when.
    """
    if not found:
        told = "no address is known for it yet"
        return Health(engine.name, "starting", started, no_address, told, 0, 0, engine.models)
    up = [replica for replica in found if replica.state == "up"]
    best = min(found, key=lambda replica: (STATES.index(replica.state), replica.since))
    others = {a: a.structured_stuck if a.state == "up" else a.reason for a in found}
    others = {replica: why for replica, why in others.items() if why}
    told = "; ".join(dict.fromkeys(others.values()))
    reason = "; ".join(f"{replica.label}: {why}" for replica, why in others.items()) if len(found) > 1 else told
    stuck = tuple((replica.label, replica.structured_stuck_since) for replica in up if replica.structured_stuck)
    return Health(
        engine.name,
        best.state,
        best.since,
        reason,
        told,
        len(up),
        len(found),
        engine.models,
        stuck,
        engine.kind == "openai",
    )
