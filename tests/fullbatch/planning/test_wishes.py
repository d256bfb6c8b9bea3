"""Words of YAML 1.1 in a profile: `off` is false there."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from fullbatch.planning import wishes


@pytest.mark.parametrize(
    ("said", "meant"), [(False, "off"), (True, "auto"), ("ignore", "ignore"), ("hermes", "hermes")]
)
def test_tools(said: Any, meant: str) -> None:
    assert TypeAdapter(wishes.Tools).validate_python(said, strict=True) == meant


@pytest.mark.parametrize(("said", "meant"), [(False, "off"), (True, "on"), ("auto", "auto"), ("granite", "granite")])
def test_thinking(said: Any, meant: str) -> None:
    assert TypeAdapter(wishes.Thinking).validate_python(said, strict=True) == meant


@pytest.mark.parametrize("said", [1, "two words", "--x", "", None])
def test_what_is_no_word(said: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(wishes.Tools).validate_python(said, strict=True)
