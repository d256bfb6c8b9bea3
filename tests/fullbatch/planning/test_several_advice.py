"""What does not fit is refused with the smallest changes; each is tried here."""

from __future__ import annotations

import re
from typing import Any

import pytest

from fullbatch.core.errors import UsageError
from tests.fullbatch.several_profiles import CARD, CPU, EMBEDDING, LLAMA, QWEN, QWEN_AWQ, SMOL, on_demand, planned


def _refusal(*models: dict[str, Any], **shared: Any) -> str:
    with pytest.raises(UsageError) as raised:
        planned(*models, **shared)
    (line,) = str(raised.value).splitlines()
    return line


def test_two_that_do_not_fit_together_may_take_turns_or_have_a_card_each() -> None:
    line = _refusal({"model": QWEN}, {"model": LLAMA})
    assert re.search(
        rf"models: {QWEN} 1\d\.\d \+ {LLAMA} 1\d\.\d GiB do not fit the 21\.6 GiB that engines may use", line
    )
    assert f"when: on-demand for {LLAMA} and {QWEN}" in line
    assert planned(on_demand(QWEN), on_demand(LLAMA)).turning
    assert f"hardware.count: 2 with cards: [1] for {QWEN}" in line
    assert planned({"model": QWEN, "cards": [1]}, {"model": LLAMA, "cards": [0]}, hardware=CARD | {"count": 2})


def test_fewer_people_are_named_and_one_more_would_not_fit() -> None:
    other = {"model": EMBEDDING, "context": 2048}
    line = _refusal({"model": QWEN_AWQ, "users": 200, "context": 8192}, other)
    found = re.search(rf"users: (\d+) for {QWEN_AWQ}", line)
    assert found
    most = int(found[1])
    assert planned({"model": QWEN_AWQ, "users": most, "context": 8192}, other)
    _refusal({"model": QWEN_AWQ, "users": most + 1, "context": 8192}, other)


def test_fewer_bits_are_named() -> None:
    line = _refusal({"model": QWEN, "users": 30}, {"model": EMBEDDING, "context": 2048})
    assert f"kv_cache: fp8 for {QWEN}" in line
    line = _refusal({"model": QWEN, "users": 50}, {"model": EMBEDDING, "context": 2048})
    assert f"model: RedHatAI/Qwen2.5-7B-Instruct-FP8-dynamic for {QWEN}" in line, "the mildest that fits"


def test_a_model_too_large_for_its_card_is_told_as_if_alone() -> None:
    line = _refusal({"model": "meta-llama/Llama-3.1-70B-Instruct"}, {"model": "tiny"})
    assert line.startswith("profiles/x.yaml: models[0]: meta-llama/Llama-3.1-70B-Instruct needs 131")
    assert "this would work" in line


def test_main_memory_that_is_too_small_for_the_processor() -> None:
    line = _refusal({"model": "tiny"}, {"model": SMOL}, hardware=CPU, main_memory_gib=8)
    assert (
        "they take 5.3 GiB of main memory, 4 are left to everything else, which is more than main_memory_gib: 8" in line
    )
    assert line.endswith("this would work: when: on-demand for all of them")
