"""What pydantic finds wrong in a file of a person: the places, and what would be right there, in YAML's words."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from common.printable import one_line
from common.secrets import masked

_MOST = 400  # characters of a message
_SHOWN = 80  # of a value, or of a name in a place
# So alike must a name be to be what was meant by an unknown one.
_ALIKE = 0.65
# pydantic's words are Python's.
_IN_YAML = {
    "tuple_type": "should be a list",
    "list_type": "should be a list",
    "model_type": "should be a mapping",
    "model_attributes_type": "should be a mapping",
    "dict_type": "should be a mapping",
    "string_type": "should be a text; put it in quotes",
    "string_unicode": "should be a text without halves of characters",
}
_COLLECTIONS = frozenset(name for name, words in _IN_YAML.items() if words.endswith(("list", "mapping")))
# Its own name of what was given, which is told in front.
_SUBJECT = re.compile(r"^(Input|String|List|Tuple|Dictionary|Value) ")


@dataclass(frozen=True, slots=True)
class Fault:
    """`place` in the file, such as ``engines[0].url`` (empty: the whole of it), and what is wrong or would be right."""

    place: str
    problem: str

    def __str__(self) -> str:
        return f"{self.place}: {self.problem}" if self.place else self.problem


def find(error: ValidationError, model: type[BaseModel], secret: Collection[str] = ()) -> list[Fault]:
    """All faults of what `model` refused.

    `secret`: settings at the top whose value is not shown, because a person may have written a secret there.
    """
    return [
        Fault(place(detail["loc"]), problem(detail, model, detail["loc"][:1] in [(name,) for name in secret]))
        for detail in innermost(error)
    ]


def innermost(error: ValidationError) -> list[Any]:
    """pydantic's own details, without those that only say that something inside has a fault."""
    details = error.errors(include_url=False)
    outer = {detail["loc"][:depth] for detail in details for depth in range(len(detail["loc"]))}
    return [detail for detail in details if detail["loc"] not in outer]


def told(error: ValidationError, model: type[BaseModel]) -> str:
    """All faults in one line, with semicolons between."""
    return one_line("; ".join(map(str, find(error, model))), 1000)


def place(location: Iterable[str | int]) -> str:
    """``("engines", 0, "url")`` -> ``engines[0].url``."""
    text = ""
    for part in location:
        name = str(part)
        shown = name if name.isprintable() and len(name) <= _SHOWN else f"{name[:_SHOWN]!r}…"
        text += f"[{part}]" if isinstance(part, int) else f".{shown}" if text else shown
    return text


def problem(detail: Any, model: type[BaseModel], secret: bool = False) -> str:
    """What is wrong, without the place; `detail` is one of `ValidationError.errors()`."""
    kind, location = detail["type"], detail["loc"]
    if kind == "extra_forbidden":
        known = list(_model_at(model, location[:-1]).model_fields)
        return f"no such setting{did_you_mean(str(location[-1]), known, _ALIKE) or '; there are ' + ', '.join(known)}"
    if kind == "missing":
        return "is missing; add it"
    if kind == "invalid_key":
        return "is no name of a setting"
    if kind == "json_invalid":
        return one_line(f"is not JSON: {detail['ctx']['error']}", _MOST)
    message = _IN_YAML.get(kind) or _SUBJECT.sub("", detail["msg"].removeprefix("Value error, "))
    message = _cut(one_line(masked(message), _MOST + 1), _MOST)
    return message if kind == "value_error" else f"{'this' if secret else _value(detail)} {message}"


def did_you_mean(name: str, known: Iterable[str], cutoff: float = 0.5) -> str:
    """` (did you mean X?)` for the nearest of the `known` names; nothing where none is near (0: any, 1: the same)."""
    names = list(known)
    # The whole beginning of a name beats one that differs less in length: repository ids share most of their letters.
    begun = [one for one in names if len(name) > 3 and one.lower().startswith(name.lower())]
    close = begun or difflib.get_close_matches(name, names, n=1, cutoff=cutoff)
    return f" (did you mean {close[0]}?)" if close else ""


def _value(detail: Any) -> str:
    """What was given, where it says something and cannot be a secret."""
    value = detail["input"]
    if isinstance(value, (dict, list, tuple, BaseModel)):
        return "a list" if isinstance(value, (list, tuple)) else "a mapping"
    if isinstance(value, str) and detail["type"] in _COLLECTIONS:
        return "a text"
    text = masked(str(value) if isinstance(value, date) else repr(value))
    return one_line(_cut(text, _SHOWN), _SHOWN + 1)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}…"


def _model_at(model: type[BaseModel], location: tuple[str | int, ...]) -> type[BaseModel]:
    """The model of a part, down the names of its place; what is no name of a field (an index, a tag) is passed over."""
    for step in location:
        if isinstance(step, str) and step in model.model_fields:
            model = _first_model(model.model_fields[step].annotation) or model
    return model


def _first_model(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _first_model(part))), None)
