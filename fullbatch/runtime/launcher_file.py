"""launcher.json of the models that take turns on some cards, and what gateway.yaml says of each. launcher/ reads it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fullbatch.planning.engine_plan import EnginePlan

# Weights are read, kernels compiled and graphs captured: as long as a first start of a large model may take.
START_TIMEOUT_S = 3600
# Seconds beyond its drain until an engine is killed.
STOP_MARGIN_S = 5
# What a sleeper may keep of a card before it is taken for not asleep, MiB: we measured 1.48 and 2.13 GiB.
ASLEEP_MIB = 3072


@dataclass(frozen=True)
class Launched:
    """One engine that a launcher starts. `command`: all of it; `listen`: {host, port} or {uds}; `env`: beside its own
    variables."""

    engine: EnginePlan
    command: Sequence[str]
    listen: Mapping[str, Any]
    env: Mapping[str, str]


def name(engine: EnginePlan) -> str:
    """What launcher and gateway call an engine: a word of an address."""
    return engine.service.removeprefix("engine-")


def service(card: str) -> str:
    """What the launcher itself is called."""
    return f"launcher-{card}"


def text(
    card: str, socket: str, launched: Sequence[Launched], drain_s: int, more: Mapping[str, Any] | None = None
) -> str:
    """launcher.json. `drain_s`: so long an engine may go on after it was told to stop; `more`: `folder`, `memory`."""
    models = [
        {
            "name": name(one.engine),
            "command": list(one.command),
            "env": dict(sorted(one.env.items())),
            "listen": dict(one.listen),
            "sleep": one.engine.turn is not None and one.engine.turn.sleep,
            "start_timeout_s": START_TIMEOUT_S,
            "stop_timeout_s": drain_s + STOP_MARGIN_S,
        }
        for one in launched
    ]
    return json.dumps({"card": card, "socket": socket, **(more or {}), "models": models}, indent=2) + "\n"


def memory(engines: Sequence[EnginePlan], visible: str | None) -> dict[str, Any]:
    """How the launcher sees that a card's memory was given back. `visible`: the cards' numbers, None: all that it sees.

    Empty on the processor, and where nobody sleeps.
    """
    if not any(engine.turn and engine.turn.sleep for engine in engines):
        return {}
    asked = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    asked += ["-i", visible] if visible else []
    return {"memory": {"command": asked, "asleep_mib": ASLEEP_MIB * engines[0].gpus}}


def turn(engine: EnginePlan, socket: str) -> dict[str, Any]:
    """What gateway.yaml says of an engine that takes turns."""
    assert engine.turn is not None  # asked of no other
    return {
        "card": engine.turn.card,
        "launcher": socket,
        "name": name(engine),
        "sleep": engine.turn.sleep,
        "cost": engine.turn.cost,
        "wake_guess_s": engine.turn.wake_guess_s,
        "cold_guess_s": engine.turn.cold_guess_s,
    }
