"""Reads a workload file: kinds of requests, and how they arrive. Unknown keys are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from common import faults
from loadtest.core.errors import UsageProblem
from loadtest.core.files import load_yaml
from loadtest.workload.arrivals import OPEN_LOOP, Arrivals, Mode

FOLDER = Path(__file__).parent / "shipped"

MOST = 1_000_000  # tokens, users, requests: beyond any server, and each would be made before the clock starts
CountAboveZero = Annotated[int, Field(ge=1, le=MOST, strict=True)]
CountOrZero = Annotated[int, Field(ge=0, le=MOST, strict=True)]
_FROZEN = ConfigDict(extra="forbid", frozen=True)


class RequestKind(BaseModel):
    """One kind of request. Lengths in tokens; those of prompts are about, of answers exact where `exact_length`.

    `system_tokens` are the same in all requests of this kind, and each request has one of `documents` texts of
    `document_tokens`: both are there to be found in the engine's prefix cache. `prompt_tokens` are unique.
    `key`: which key of the key file, from 1. `weight`: its share of the users (closed loop) or of the arrivals.
    `model`: whom it asks, where a server has several; empty: the run's own model.
    """

    model_config = _FROZEN

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    prompt_tokens: CountAboveZero
    output_tokens: CountAboveZero
    weight: CountAboveZero = 1
    system_tokens: CountOrZero = 0
    document_tokens: CountOrZero = 0
    documents: CountAboveZero = 1
    turns: CountAboveZero = 1
    think_s: float = Field(default=0.0, ge=0, le=MOST)
    exact_length: bool = True
    key: CountAboveZero = 1
    model: str = Field(default="", max_length=200)


class ArrivalsSpec(BaseModel):
    """As in the file; a command line may change each of them."""

    model_config = _FROZEN

    mode: Mode = "closed"
    users: tuple[CountAboveZero, ...] = Field(default=(1, 5, 10, 50), min_length=1)
    requests_per_user: CountAboveZero = 4
    rates: tuple[Annotated[float, Field(ge=0, le=MOST)], ...] = ()
    seconds: float = Field(default=60.0, gt=0, le=MOST)

    @model_validator(mode="after")
    def _rates_fit(self) -> ArrivalsSpec:
        fault = rates_fault(self.mode, self.rates, self.seconds)
        if fault:
            raise ValueError(fault)
        return self

    def arrivals(self) -> Arrivals:
        return Arrivals(self.mode, self.users, self.requests_per_user, self.rates, self.seconds)


class WorkloadFile(BaseModel):
    """One file of `loadtest/workload/shipped/`."""

    model_config = _FROZEN

    version: Literal[1]
    description: str = Field(min_length=1)
    kinds: tuple[RequestKind, ...] = Field(min_length=1)
    arrivals: ArrivalsSpec = Field(default_factory=ArrivalsSpec)
    name: str = ""

    @model_validator(mode="after")
    def _names_differ(self) -> WorkloadFile:
        names = [kind.name for kind in self.kinds]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"kinds: two are called '{twice[0]}'; give each another name")
        return self

    @property
    def keys(self) -> int:
        """How many keys it needs."""
        return max(kind.key for kind in self.kinds)


def rates_fault(mode: Mode, rates: tuple[float, ...], seconds: float) -> str | None:
    """What is wrong with these rates for this mode; None when nothing is."""
    if mode == "replay":
        return "mode replay needs rates above 0: how many times as fast" if rates and min(rates) <= 0 else None
    if mode == "open" and (not rates or min(rates) <= 0):
        return "mode open needs rates above 0, in requests per second, such as 1,2,4"
    if mode == "ramp" and (len(rates) != 2 or max(rates) <= 0):
        return "mode ramp needs two rates, from and to, in requests per second, such as 0.5,8"
    if mode in OPEN_LOOP and max(rates) * seconds > MOST:
        return f"{max(rates):g} requests per second for {seconds:g} s are more than {MOST:,} requests"
    return None


def names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def read_workload(name: str) -> WorkloadFile:
    """By the name of a shipped one, or by a path. UsageProblem, in one line with all faults, when it is not right."""
    is_path = "/" in name or name.endswith((".yaml", ".yml"))
    path = Path(name) if is_path else FOLDER / f"{name}.yaml"
    if not is_path and name not in names():
        raise UsageProblem(f"--workload: there is no '{name}'; give one of {', '.join(names())}, or the path of a file")
    content = load_yaml(path, "--workload")
    if not isinstance(content, dict):
        raise UsageProblem(f"--workload {path}: write a mapping with version, description, kinds and arrivals")
    try:
        return WorkloadFile.model_validate({**content, "name": path.stem})
    except ValidationError as error:
        raise UsageProblem(f"--workload {path}: {faults.told(error, WorkloadFile)}") from error
