"""Settings of models that take turns on a card: docs/decisions/0038."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, field_validator

from gateway.config.setting_types import LONGEST_SOCKET_PATH, Frozen, Name, Seconds

if TYPE_CHECKING:
    from gateway.config.engine_settings import EngineSettings

# Of launcher.json: a segment of a URL's path.
_SEGMENT = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"


class TurnSettings(Frozen):
    """Of an engine that takes turns with others on a card. ``launcher``: the path of its socket; ``name``: there.

    ``sleep``: it is put to sleep instead of being stopped. ``cost``: what one of its tokens weighs, in billions of
    active parameters. ``wake_guess_s``, ``cold_guess_s``: how long a load takes, by plan, until one has been seen.
    """

    card: Name
    launcher: str
    name: Annotated[str, Field(pattern=_SEGMENT)]
    sleep: bool = False
    cost: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    wake_guess_s: Seconds = 5
    cold_guess_s: Seconds = 60

    @field_validator("launcher")
    @classmethod
    def _a_path(cls, path: str) -> str:
        if not path.startswith("/") or not path.isprintable() or len(path.encode()) > LONGEST_SOCKET_PATH:
            raise ValueError(f"write the socket's absolute path, of at most {LONGEST_SOCKET_PATH} bytes: /PATH/x.sock")
        return path


class ResidencySettings(Frozen):
    """When a card's model gives way to another one.

    ``patience_s``: somebody has waited so long, and ``residency_factor``: the loaded one has been there for so many
    times what the other one takes to load. ``drain_s``: its running answers have so long before batch work is cut for
    somebody interactive. ``load_timeout_s``: so long may somebody wait for a model. ``switches_per_hour``: that one key
    may cause. ``keep_alive_whole``: who waits for a whole answer is sent blanks, for proxies that give up on silence.
    """

    patience_s: Annotated[float, Field(ge=0, le=86_400)] = 20
    residency_factor: Annotated[float, Field(ge=0, le=1000)] = 4
    drain_s: Annotated[float, Field(ge=0, le=86_400)] = 60
    load_timeout_s: Seconds = 300
    switches_per_hour: Annotated[int, Field(ge=1, le=100_000)] = 30
    keep_alive_whole: bool = False


def agree(engines: Sequence[EngineSettings]) -> None:
    """Raises: ValueError: two turns that do not go together; says which."""
    launchers: dict[str, str] = {}
    cards: dict[str, str] = {}
    names: set[tuple[str, str]] = set()
    models: dict[str, str] = {}
    for engine in (one for one in engines if one.kind == "engine"):
        for model in engine.models:
            other = models.setdefault(model, engine.name)
            both = other != engine.name and (engine.turn or next(one for one in engines if one.name == other).turn)
            if both:
                raise ValueError(f"engines: '{other}' and '{engine.name}' serve '{model}', and one of them takes turns")
        if (turn := engine.turn) is None:
            continue
        if launchers.setdefault(turn.card, turn.launcher) != turn.launcher:
            raise ValueError(f"engines: card '{turn.card}' has two launchers; write one")
        if cards.setdefault(turn.launcher, turn.card) != turn.card:
            raise ValueError(f"engines: '{turn.launcher}' is the launcher of two cards; each card has its own")
        if (turn.card, turn.name) in names:
            raise ValueError(f"engines: two turns on card '{turn.card}' are called '{turn.name}'; give each its own")
        names.add((turn.card, turn.name))
