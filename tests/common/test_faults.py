"""Faults of a file in one line."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from common.faults import did_you_mean, find, told


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")

    size: Annotated[int, Field(ge=1)] = 1
    colour: str = ""

    @field_validator("colour")
    @classmethod
    def _is_red(cls, text: str) -> str:
        if text not in ("", "red"):
            raise ValueError(f"'{text}' is not red")
        return text


class Whole(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    parts: tuple[Part, ...] | None = None


def refused(content: dict[Any, Any]) -> str:
    with pytest.raises(ValidationError) as raised:
        Whole.model_validate(content)
    return told(raised.value, Whole)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({}, "name: is missing; add it"),
        ({"name": "a", 1: 2}, "[1]: is no name of a setting"),
        ({"name": "a", "nane": 1}, "nane: no such setting (did you mean name?)"),
        ({"name": "a", "zzz": 1}, "zzz: no such setting; there are name, parts"),
        ({"name": "a", "parts": [{"sise": 1}]}, "parts[0].sise: no such setting (did you mean size?)"),
        ({"name": "a", "parts": [{}, {"size": 0}]}, "parts[1].size: 0 should be greater than or equal to 1"),
        ({"name": "a", "parts": [{"colour": "blue"}]}, "parts[0].colour: 'blue' is not red"),
        (
            {"name": 7, "parts": 7},
            "name: 7 should be a text; put it in quotes; parts: 7 should be a list",
        ),
    ],
)
def test_each_place_with_what_is_there_and_what_would_be_right(content: dict[Any, Any], expected: str) -> None:
    assert refused(content) == expected


def test_what_is_shown_of_a_value_is_short_and_fit_for_a_terminal() -> None:
    line = refused({"name": ["x"], "parts": "\x1b[31m" + "y" * 500})
    assert "\x1b" not in line and "\n" not in line and len(line) < 300


def test_a_part_with_faults_has_no_fault_of_its_own_besides() -> None:
    class Either(BaseModel):
        either: Part | list[Part]

    with pytest.raises(ValidationError) as raised:
        Either.model_validate({"either": [{"size": 0}]})
    places = [fault.place for fault in find(raised.value, Either)]
    assert "either" not in places and any(place.endswith("size") for place in places)


def test_no_secret_is_shown() -> None:
    with pytest.raises(ValidationError) as raised:
        Whole.model_validate({"name": 1234567, "parts": [{"size": "http://me:word@host"}]})
    shown = [str(fault) for fault in find(raised.value, Whole, secret=("name",))]
    assert shown[0] == "name: this should be a text; put it in quotes"
    assert shown[1].startswith("parts[0].size: 'http://...@host' should be a valid integer")


@pytest.mark.parametrize(
    ("name", "cutoff", "said"),
    [
        ("contxt", 0.5, " (did you mean context?)"),
        ("users", 0.5, ""),
        ("model-of-yours", 0.7, ""),
        ("mode", 0.5, " (did you mean model?)"),
        ("cont", 1.0, " (did you mean context?)"),
        ("contxt", 1.0, ""),
    ],
)
def test_the_nearest_known_name_is_guessed(name: str, cutoff: float, said: str) -> None:
    assert did_you_mean(name, ["model", "context"], cutoff) == said
