from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import pytest

from fullbatch.rendering import schema
from tests.fullbatch.several_profiles import CARD, LLAMA, QWEN, on_demand

ONE: dict[str, Any] = {"description": "d", "model": QWEN, "hardware": CARD}
TWO: dict[str, Any] = {"description": "d", "hardware": CARD, "models": [on_demand(QWEN, users=3), on_demand(LLAMA)]}


def _check(data: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator(json.loads(schema.text())).validate(data)


@pytest.mark.parametrize("data", [ONE, TWO, TWO | {"main_memory_gib": 32, "residency": {"patience_s": 5}}])
def test_an_editor_takes_what_we_take(data: dict[str, Any]) -> None:
    _check(data)


@pytest.mark.parametrize(
    "data",
    [
        ONE | {"contxt": 1},
        TWO | {"users": 3},
        TWO | {"models": [{"model": QWEN, "contxt": 1}, {"model": LLAMA}]},
        TWO | {"models": [{"model": QWEN, "hardware": CARD}, {"model": LLAMA}]},
        TWO | {"models": [{"when": "always"}, {"model": LLAMA}]},
        {"description": "d", "hardware": CARD},
    ],
)
def test_and_refuses_what_we_refuse(data: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        _check(data)


def test_no_pattern_repeats_all_of_unicode() -> None:
    """`\\w` many times took longer to compile than all else of a start."""
    patterns = re.findall(r'"pattern": "(.*)"', schema.text())
    assert len(patterns) > 5
    assert [one for one in patterns if re.search(r"\\\\[wdsWDS][^\]]*\]?\{\d*,?\d{2,}\}", one)] == []
