"""Models whose config.json is known: rows of published.yaml, sized as any config.json is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from fullbatch.catalog import Model, config_json
from fullbatch.catalog.measured import Measured


class Models(Mapping[str, Model]):
    """Every model by repository id: those that are `known`, then each of `rows`, read when it is first asked for."""

    def __init__(self, known: Mapping[str, Model], rows: Mapping[str, dict[str, Any]]) -> None:
        self._rows = rows
        self._found = dict(known)
        named = [(one, name) for name, facts in rows.items() for names in _checkpoints(facts).values() for one in names]
        # Which row each name is in.
        self._row = {name: name for name in rows} | dict(named)
        self._names = list(dict.fromkeys([*known, *self._row]))

    def __getitem__(self, name: str) -> Model:
        if name not in self._found:
            self._found |= _models(self._row[name], self._rows[self._row[name]])
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._found or name in self._row


def _models(name: str, facts: Mapping[str, Any]) -> dict[str, Model]:
    """A row's model and its quantised checkpoints."""
    model, sizes = _model(name, facts), facts.get("sizes", {})
    checkpoints = {
        one: _quantised(model, one, precision, sizes.get(one))
        for precision, names in model.checkpoints.items()
        for one in names
    }
    return {name: model} | checkpoints


def _checkpoints(facts: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    return {precision: tuple(names) for precision, names in facts.get("checkpoints", {}).items()}


def _model(name: str, facts: Mapping[str, Any]) -> Model:
    sizes = facts.get("sizes", {})
    # The path is no file's: nothing is measured beside it.
    model = config_json.parse(facts["config"], Path(name) / "config.json", Measured(sizes.get(name, 0.0)))
    return replace(
        model, name=name, base=name, title=facts["title"], source=facts["source"], gated=facts.get("gated", False),
        checkpoints=_checkpoints(facts), weights_gib=_narrow(model),
    )  # fmt: skip


def _narrow(model: Model) -> dict[str, float]:
    """Its weights by precision, NVFP4 included: what int4 takes, with scales for every 16 numbers instead of 128."""
    return {"nvfp4": model.weights_gib["int4"] * 1.07} | dict(model.weights_gib)


def _quantised(model: Model, name: str, precision: str, gib: float | None) -> Model:
    sizes = dict(model.weights_gib) | ({precision: gib} if gib else {})
    # NVIDIA's own ask for an FP8 cache (hf_quant_config.json of those that were seen).
    cached = "fp8" if precision == "nvfp4" and name.startswith("nvidia/") else model.kv_dtype
    title = f"{model.title}, {precision}"
    return replace(model, name=name, title=title, precision=precision, weights_gib=sizes, kv_dtype=cached)
