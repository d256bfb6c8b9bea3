"""Faults of a file in one line."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from loadtest.core.faults import told


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


def refused(content: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as raised:
        Whole.model_validate(content)
    return told(raised.value, Whole)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({}, "name: is missing"),
        ({"name": "a", "nane": 1}, "nane: not known here; did you mean name"),
        ({"name": "a", "zzz": 1}, "zzz: not known here; there are name, parts"),
        ({"name": "a", "parts": [{"sise": 1}]}, "parts.0.sise: not known here; did you mean size"),
        ({"name": "a", "parts": [{}, {"size": 0}]}, "parts.1.size: Input should be greater than or equal to 1, not 0"),
        ({"name": "a", "parts": [{"colour": "blue"}]}, "parts.0.colour: 'blue' is not red"),
        (
            {"name": 7, "parts": 7},
            "name: Input should be a valid string, not 7; parts: Input should be a valid tuple, not 7",
        ),
    ],
)
def test_each_place_with_what_is_there_and_what_would_be_right(content: dict[str, Any], expected: str) -> None:
    assert refused(content) == expected


def test_what_is_shown_of_a_value_is_short_and_fit_for_a_terminal() -> None:
    line = refused({"name": ["x"], "parts": "\x1b[31m" + "y" * 500})
    assert "\x1b" not in line and "\n" not in line and len(line) < 300
