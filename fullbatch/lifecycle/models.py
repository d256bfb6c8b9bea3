"""The models of what runs, as its gateway tells them: which are there, what each costs to load, and the changes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.faults import did_you_mean
from fullbatch.core import http
from fullbatch.core.errors import HostError, StateError, UsageError, not_running
from fullbatch.runtime import registry
from fullbatch.runtime.base import RunningDeployment

ACTIONS = ("load", "unload", "pin", "unpin")
_TIMEOUT = 30.0
_NONE: dict[str, Any] = {"cards": []}
# States of a model that is there, or soon will be, without turns.
ALWAYS = "always"


@dataclass(frozen=True)
class ServedModel:
    """One model. `card`: whose turns it takes, empty for one that is always there; `names`: what clients call it.

    Seconds: `about_s` until it is there, where that is known; `wake_s` and `cold_s` to load it, `*_learned`: measured
    here. `why`: of one that is failed, with its last words in `log`.
    """

    name: str
    names: tuple[str, ...]
    state: str
    card: str = ""
    resident: bool = False
    pinned: bool = False
    about_s: float | None = None
    wake_s: float | None = None
    wake_learned: bool = False
    cold_s: float | None = None
    cold_learned: bool = False
    next_load: str = ""
    running: int = 0
    waiting: int = 0
    loads: Mapping[str, int] = dataclasses.field(default_factory=dict)
    failures: int = 0
    why: str = ""
    retry_at: str = ""
    log: tuple[str, ...] = ()


@dataclass(frozen=True)
class CardTurns:
    """Cards that models take turns on. `trouble`: why their launcher cannot be asked; `lost_share`: of the last 15
    minutes, the part in which they served nobody because of a switch."""

    card: str
    phase: str
    to: str
    trouble: str
    lost_share: float


@dataclass(frozen=True)
class ServedModels:
    """All models of one deployment."""

    profile: str
    models: tuple[ServedModel, ...]
    cards: tuple[CardTurns, ...]


def served(root: Path, profile: str | None) -> ServedModels:
    """The models of `profile`, or of the one that runs.

    Raises:
        StateError: nothing runs, or the key may not ask; HostError: the gateway does not answer.
    """
    running = _running(root, profile)
    asked = http.fetch(f"{running.gateway_url}/ui/v1/models", running.api_key(), _TIMEOUT)
    told = _NONE if asked.status == 403 and not _take_turns(running) else _answer(running, asked)
    listed = http.fetch(f"{running.gateway_url}/v1/models", running.api_key(), _TIMEOUT).json()
    cards = told.get("cards", [])
    turning = [_model(card, one) for card in cards for one in card["models"]]
    taken = {name for one in turning for name in one.names}
    always = [
        ServedModel(one["id"], (one["id"],), ALWAYS) for one in listed.get("data", []) if one["id"] not in taken
    ]  # fmt: skip
    return ServedModels(running.profile, (*always, *turning), tuple(map(_card, cards)))


def _take_turns(running: RunningDeployment) -> bool:
    """Whether any model does: then who may look is for the profile to say."""
    return bool(http.get(f"{running.gateway_url}/health").json().get("models"))


def change(root: Path, profile: str | None, action: str, name: str) -> str:
    """Have a model loaded, unloaded, pinned or unpinned; the state that it then is in.

    Raises:
        UsageError: it takes no turns; StateError: it cannot be done now; HostError: the gateway does not answer.
    """
    found = served(root, profile)
    turning = {one.name: one for one in found.models if one.card}
    asked = next((one for one in turning.values() if name in (one.name, *one.names)), None)
    if asked is None:
        if any(name in one.names for one in found.models):
            raise UsageError(f"models {action}: '{name}' is always there and takes no turns (profile: when)")
        there = ", ".join(turning) or "none that takes turns"
        raise UsageError(f"models {action}: no model '{name}'{did_you_mean(name, turning)}; there are: {there}")
    running = _running(root, profile)
    body = {"do": action, "name": asked.name}
    told = _answer(running, http.post(f"{running.gateway_url}/ui/v1/models/do", body, running.api_key(), _TIMEOUT))
    return str(told.get("state", ""))


def _running(root: Path, profile: str | None) -> RunningDeployment:
    found = registry.only(root, profile, "fullbatch models --profile PROFILE")
    if found is None:
        raise not_running(profile)
    return found


def _answer(running: RunningDeployment, answer: http.HttpResponse) -> dict[str, Any]:
    """What the gateway has said, or its refusal in one line."""
    if answer.status == 200:
        return answer.json()
    if answer.status == 0:
        raise HostError(f"the gateway at {running.gateway_url} does not answer: {answer.text}")
    if answer.status == 404:
        raise StateError(f"the gateway of '{running.profile}' is older than this command; start it again")
    error = answer.json().get("error")
    said = error.get("message") if isinstance(error, dict) else answer.text.strip()
    raise StateError(f"models: {said}")


def _card(told: Mapping[str, Any]) -> CardTurns:
    launcher = str(told.get("launcher", "ok"))
    return CardTurns(
        str(told["card"]), str(told.get("phase", "")), str(told.get("to") or ""),
        "" if launcher == "ok" else launcher, float(told.get("lost_share_15m") or 0.0),
    )  # fmt: skip


def _model(card: Mapping[str, Any], told: Mapping[str, Any]) -> ServedModel:
    name = str(told["name"])
    known = {field.name for field in dataclasses.fields(ServedModel)} - {"name", "names", "log", "retry_at"}
    return ServedModel(
        name=name,
        names=tuple(told.get("models", ())),
        card=str(card["card"]),
        resident=card.get("resident") == name,
        pinned=card.get("pinned") == name,
        log=tuple(map(str, told.get("log", ()))),
        retry_at=str(told.get("retry_at") or ""),
        **{key: told[key] for key in known - {"card", "resident", "pinned"} if key in told},
    )
