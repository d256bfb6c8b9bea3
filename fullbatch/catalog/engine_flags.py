"""The flags of the pinned engine: what each takes, and what it means to a plan. Data of engine_flags.yaml and
memory_flags.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

from fullbatch.catalog import read

# What a plan does with a flag; each word is explained in memory_flags.yaml.
KINDS = ("ours", "setting", "refused", "sized", "unsized", "harmless")


@dataclass(frozen=True)
class Taken:
    """`takes`: switch, mark, integer, number, size, json or text. `several`: '' for one value, words or repeated."""

    takes: str
    several: str = ""
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Meaning:
    """`kind`: one of KINDS; `says`: what a person is told of it, and `source`: where that is written."""

    kind: str
    says: str
    source: str


@cache
def taken() -> Mapping[str, Taken]:
    """Every flag of the pinned `vllm serve`, without the dashes."""
    return MappingProxyType({name: _taken(facts) for name, facts in read("engine_flags.yaml")["flags"].items()})


def _taken(facts: dict[str, Any]) -> Taken:
    return Taken(facts["takes"], facts.get("several", ""), tuple(facts.get("choices", ())))


def recorded_version() -> str:
    """The version whose parser was recorded."""
    return str(read("engine_flags.yaml")["version"])


@cache
def meanings() -> Mapping[str, Meaning]:
    """What each flag means to a plan."""
    data = read("memory_flags.yaml")
    return MappingProxyType(
        {
            name: Meaning(kind, group["says"], group["source"])
            for kind in KINDS
            for group in data[kind]
            for name in group["flags"]
        }
    )


def online_precisions() -> Mapping[str, str]:
    """Methods that quantise a 16-bit checkpoint while it is loaded, and the precision of its weights then."""
    return MappingProxyType(read("memory_flags.yaml")["quantization"]["online"])


def checkpoint_methods() -> frozenset[str]:
    """Methods that need a checkpoint quantised that way."""
    return frozenset(read("memory_flags.yaml")["quantization"]["checkpoint"])


def methods() -> frozenset[str]:
    """Every value that `quantization` takes."""
    return (
        frozenset(read("memory_flags.yaml")["quantization"]["neither"])
        | checkpoint_methods()
        | set(online_precisions())
    )


def environment() -> Mapping[str, str]:
    """Variables of the engine that a setting stands for, and that setting."""
    found = read("memory_flags.yaml")["environment"].items()
    return MappingProxyType({name: str(facts["says"]) for name, facts in found})
