"""What is to be measured, as data: models, sides, and cells in which sides take turns under one load."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from common import faults
from fullbatch import catalog
from fullbatch.core.errors import UsageError
from fullbatch.core.yamlfile import read_mapping

PLACE = Path(__file__).parent


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Load(_Strict):
    """Tokens of a prompt and of an answer, how many ask at once, how often each, and how often all of it is done."""

    prompt_tokens: int = Field(ge=1)
    output_tokens: int = Field(ge=1)
    users: list[int] = Field(min_length=1)
    requests_per_user: int = Field(default=1, ge=1)
    repeats: int = Field(default=1, ge=1)


class ModelEntry(_Strict):
    """`repository`: whose architecture, vocabulary and context are taken; a model of the catalog."""

    repository: str

    @model_validator(mode="after")
    def _known(self) -> ModelEntry:
        if self.repository not in catalog.models():
            raise ValueError(f"'{self.repository}' is no model of the catalog")
        return self


class Side(_Strict):
    """A way to serve: vLLM by a plan (`args` on top; `bare`: `args` alone), or llama.cpp (`slots`).

    `precision`: fp8 makes the weights 8 bit as they are loaded; int4 takes the catalog's first 4-bit checkpoint.
    """

    about: str
    users: int = Field(default=0, ge=0)
    context: int | Literal["native"] = 4096
    bare: bool = False
    precision: Literal["bf16", "fp8", "int4"] = "bf16"
    args: dict[str, str | int | float | bool] = Field(default_factory=dict)
    slots: int = Field(default=0, ge=0)
    slot_context: int = Field(default=4096, ge=256)

    @model_validator(mode="after")
    def _one_kind(self) -> Side:
        if bool(self.users) == bool(self.slots):
            raise ValueError("give either users (vLLM) or slots (llama.cpp)")
        if self.precision != "bf16" and (self.slots or self.bare):
            raise ValueError("precision is for vLLM by a plan; llama.cpp is always Q4_K_M, and bare sides are bf16")
        return self

    @property
    def is_llama(self) -> bool:
        """Whether llama.cpp serves it."""
        return self.slots > 0


class Cell(_Strict):
    """Sides under one load on one model. `gateway`: the first side through its gateway too, as another run.

    `refused`: sides that are expected not to start, tried, and their words kept.
    `load`: what differs from the matrix's. `workload`: of the load test, or the name of a file beside this module.
    """

    name: str
    model: str
    sides: list[str] = Field(min_length=1)
    gateway: bool = False
    refused: list[str] = Field(default_factory=list)
    repeats: int | None = None
    workload: str = "seed"
    load: dict[str, int | list[int]] = Field(default_factory=dict)


class TurnsCell(_Strict):
    """Two models on one card. `card`: whose memory they take turns on, `together_card`: whose they share.

    `users`: of each, for the plan. `rounds`: how often each falls asleep and wakes up; `people` ask for both for
    `seconds`, and `patience_s` is their gateway's.
    """

    name: str
    models: list[str] = Field(min_length=2, max_length=2)
    card: str
    together_card: str
    context: int = Field(default=4096, ge=256)
    users: int = Field(default=10, ge=1)
    rounds: int = Field(default=5, ge=1)
    people: int = Field(default=50, ge=2)
    seconds: float = Field(default=120.0, gt=0)
    patience_s: float = Field(default=20.0, gt=0)


class Matrix(_Strict):
    """All of it. `plans_for`: the card whose memory the plans are made for; None: this machine's processor."""

    version: Literal[1]
    plans_for: str | None
    load: Load
    models: dict[str, ModelEntry]
    sides: dict[str, Side]
    cells: list[Cell]
    turns: list[TurnsCell] = Field(default_factory=list)

    @model_validator(mode="after")
    def _names(self) -> Matrix:
        wrong = [f"cell {c.name}: '{c.model}' is no model here" for c in self.cells if c.model not in self.models]
        wrong += [
            f"cell {cell.name}: '{side}' is no side here"
            for cell in self.cells
            for side in [*cell.sides, *cell.refused]
            if side not in self.sides
        ]
        if self.plans_for is not None and self.plans_for not in catalog.gpus():
            wrong.append(f"plans_for: '{self.plans_for}' is no known card")
        for one in self.turns:
            wrong += [f"turns {one.name}: '{name}' is no model here" for name in one.models if name not in self.models]
            cards = (one.card, one.together_card)
            wrong += [f"turns {one.name}: '{card}' is no known card" for card in cards if card not in catalog.gpus()]
        if wrong:
            raise ValueError("; ".join(wrong))
        for cell in self.cells:
            for side in [*cell.sides, *cell.refused]:
                self.checkpoint(cell.model, side)
        return self

    def checkpoint(self, model: str, side: str) -> str:
        """The repository that `side` serves of `model`; ValueError where the catalog has none in its precision."""
        repository = self.models[model].repository
        if self.sides[side].precision != "int4":
            return repository
        known = catalog.models()[repository].checkpoints.get("int4")
        if not known:
            raise ValueError(f"side {side}: the catalog has no 4-bit checkpoint of {repository}")
        return known[0]

    def load_of(self, cell: Cell) -> Load:
        """The matrix's load with what the cell says differently."""
        own: dict[str, Any] = dict(cell.load)
        if cell.repeats is not None:
            own["repeats"] = cell.repeats
        return Load.model_validate(self.load.model_dump() | own)


def read(path: Path) -> Matrix:
    """The matrix in `path`; UsageError with all its faults."""
    try:
        return Matrix.model_validate(read_mapping(path))
    except ValidationError as error:
        raise UsageError(*(f"{path.name}: {fault}" for fault in faults.find(error, Matrix))) from error
