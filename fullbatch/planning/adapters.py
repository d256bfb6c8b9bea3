"""LoRA adapters of a profile: what may be said of them, and what the engine is told. Pure.

Each is a model of its own to clients, by its name. The engine keeps a place on the card for every one of them, all of
the rank of the widest.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Discriminator, Field, JsonValue, Tag, field_validator

from fullbatch.catalog.adapter_config import RANKS
from fullbatch.planning import engine_args

# As the hub names a commit: only that can be found again without asking.
COMMIT = re.compile(r"[0-9a-f]{40}")
# The engine's own, which stands where an adapter's rank is not known.
DEFAULT_RANK = 16
# More adapters than this share places: one that has none is fetched from the host's memory when it is asked for.
MOST_PLACES = 8
MODULES = "lora-modules"
_FLAGS = {
    MODULES: "name them all under adapters",
    "max-cpu-loras": "all adapters are kept in the host's memory",
    "enable-lora": "adapters say it",
}


class Adapter(BaseModel):
    """An adapter, with more than its place."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    source: str = Field(min_length=1, description="ORG/NAME of the hub, or the whole path of a folder")
    revision: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_./-]{0,127}$",
        description="commit or branch of the repository (default: main)",
    )
    rank: int | None = Field(default=None, description="what its adapter_config.json says, or more (default: that)")
    any_base: bool = Field(
        default=False, description="serve it although it says that it was made for another model of the same shapes"
    )

    @field_validator("rank")
    @classmethod
    def _one_of_the_engines(cls, rank: int | None) -> int | None:
        if rank is not None and rank not in RANKS:
            raise ValueError(f"{rank} is no rank of vLLM's; write one of {', '.join(map(str, RANKS))}")
        return rank


def _form(value: Any) -> str:
    return "own" if isinstance(value, dict | Adapter) else "place"


AdapterName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$")]
AdapterSetting = Annotated[Annotated[str, Tag("place")] | Annotated[Adapter, Tag("own")], Discriminator(_form)]
Settings = dict[AdapterName, AdapterSetting]
ABOUT = "LoRA adapters, each a model of its own to clients: its name, and ORG/NAME of the hub or the path of a folder"


@dataclass(frozen=True)
class Lora:
    """`source`: a folder of this machine, or a repository of the hub at `commit`."""

    name: str
    source: str
    commit: str = ""
    rank: int = DEFAULT_RANK

    @property
    def folder(self) -> str | None:
        """The folder of this machine that it lies in; None for one of the hub."""
        return self.source if self.source.startswith("/") else None

    def path(self, hub: str) -> str:
        """Where it lies; `hub`: the cache of the hub's library in this runtime."""
        return self.folder or f"{hub}/models--{self.source.replace('/', '--')}/snapshots/{self.commit}"

    def module(self, hub: str) -> str:
        """As `--lora-modules` takes it, whatever is in its path."""
        return json.dumps({"name": self.name, "path": self.path(hub)}, separators=(",", ":"), ensure_ascii=False)

    def shown(self) -> str:
        """For a person."""
        return f"{self.name}={self.source}" + (f"@{self.commit}" if self.commit else "")


def of(settings: Mapping[str, str | Adapter]) -> tuple[Lora, ...]:
    """The adapters that a profile names, in its order."""
    found = ((name, Adapter(source=one) if isinstance(one, str) else one) for name, one in settings.items())
    return tuple(Lora(name, one.source, one.revision or "", one.rank or DEFAULT_RANK) for name, one in found)


def places(loras: Sequence[Lora], args: Mapping[str, Any]) -> tuple[int, int]:
    """How many places there are on the card, and the rank of each; what `args` say themselves counts."""
    most, widest = min(len(loras), MOST_PLACES), max((one.rank for one in loras), default=DEFAULT_RANK)
    return engine_args.whole(args.get("max-loras")) or most, engine_args.whole(args.get("max-lora-rank")) or widest


def chosen(loras: Sequence[Lora], args: Mapping[str, Any]) -> list[tuple[str, JsonValue, str]]:
    """The flags that they need, each with its reason; none without adapters."""
    if not loras:
        return []
    count, rank = places(loras, args)
    found: list[tuple[str, JsonValue, str]] = [
        ("enable-lora", True, "the profile names adapters"),
        ("max-loras", count, "a place on the card for each adapter" if count >= len(loras) else "places they share"),
        ("max-lora-rank", rank, "every place is kept for the widest of them, whatever an adapter's own rank"),
        (
            MODULES,
            [one.shown() for one in loras],
            f"models of their own to clients: {', '.join(one.name for one in loras)}",
        ),
    ]
    if count < len(loras):
        found.append(("max-cpu-loras", len(loras), "all are kept in the host's memory, for when they are asked for"))
    return found


def words(loras: Sequence[Lora], hub: str) -> list[str]:
    """The flag with the adapters, where each lies; `hub`: the cache of the hub's library in this runtime."""
    return [f"--{MODULES}", *(one.module(hub) for one in loras)]


def fetched(loras: Sequence[Lora]) -> list[str]:
    """What `runtime/fetch.py` is told of those of the hub."""
    return [f"--adapter={one.source}@{one.commit}" for one in loras if not one.folder]


def refuse(settings: Mapping[str, str | Adapter], args: Mapping[str, Any], taken: str) -> None:
    """ValueError for what cannot be beside `engine.args`, or is called as the model is (`taken`)."""
    if not settings:
        return
    if taken in settings:
        raise ValueError(f"adapters: '{taken}' is the model's own name; give the adapter another")
    if beside := next((flag for flag in _FLAGS if flag in args), None):
        raise ValueError(f"engine.args.{beside}: {_FLAGS[beside]}; remove this flag")
    widest = max(of(settings), key=lambda one: one.rank)
    rank = engine_args.whole(args.get("max-lora-rank"))
    if rank and rank < widest.rank:
        raise ValueError(
            f"engine.args.max-lora-rank: {rank} is less than the {widest.rank} of adapter '{widest.name}'; remove it"
        )
