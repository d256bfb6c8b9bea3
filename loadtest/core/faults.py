"""What pydantic finds wrong in a file, in one line: each place, what is there, what would be right."""

from __future__ import annotations

from difflib import get_close_matches
from typing import get_args

from pydantic import BaseModel, ValidationError

from loadtest.core.sanitize import one_line

_MOST = 1000  # characters
_SHOWN = 60  # of a value


def told(error: ValidationError, model: type[BaseModel]) -> str:
    """All faults, with semicolons between."""
    return one_line("; ".join(_line(fault, model) for fault in error.errors(include_url=False)), _MOST)


def _line(fault: object, model: type[BaseModel]) -> str:
    assert isinstance(fault, dict)
    place, kind = fault["loc"], fault["type"]
    where = ".".join(map(str, place))
    if kind == "missing":
        return f"{where}: is missing"
    if kind == "extra_forbidden":
        known = list(_model_at(model, place[:-1]).model_fields)
        near = get_close_matches(str(place[-1]), known, n=1, cutoff=0.7)
        better = f"did you mean {near[0]}" if near else f"there are {', '.join(known)}"
        return f"{where}: not known here; {better}"
    text = fault["msg"].removeprefix("Value error, ")
    value = fault["input"]
    shown = "" if isinstance(value, dict | list | BaseModel) or kind == "value_error" else f", not {_short(value)}"
    return f"{where}: {text}{shown}" if where else text


def _short(value: object) -> str:
    return one_line(repr(value), _SHOWN)


def _model_at(model: type[BaseModel], place: tuple[int | str, ...]) -> type[BaseModel]:
    """The model of a part, down the names of its place."""
    for step in place:
        if isinstance(step, str) and step in model.model_fields:
            model = _first_model(model.model_fields[step].annotation) or model
    return model


def _first_model(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _first_model(part))), None)
