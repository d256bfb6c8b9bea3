"""What to tell someone whose model nobody serves."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.core.errors import NoEngineUp, UnknownModel
from gateway.engines.health_report import RETRY_AFTER_S, Health
from gateway.engines.replica import ReplicaState


def unknown(model: str, known: Iterable[str]) -> UnknownModel:
    """No engine is configured for it; ``known``: the models that there are."""
    names = ", ".join(f"'{name}'" for name in known)
    return UnknownModel(f"no model '{model[:200]}' here; there are {names}", param="model")


def none_up(model: str, healths: Iterable[Health]) -> NoEngineUp:
    """The engines for it are down, start or stand still; when to come back."""
    found = [health for health in healths if model in health.models]
    states = [health.state for health in found]
    state: ReplicaState = "stalled" if "stalled" in states else "starting" if "starting" in states else "down"
    reasons = "; ".join(f"engine '{health.name}': {health.told or health.state}" for health in found)
    reasons = reasons or "no engine is configured for it any more"
    after = RETRY_AFTER_S[state]
    return NoEngineUp(f"model '{model}' is {state} ({reasons}); try again in {after} s", retry_after=after)
