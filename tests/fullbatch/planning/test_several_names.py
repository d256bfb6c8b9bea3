"""Which two names of different models are refused, and which are not."""

from __future__ import annotations

from typing import Any

import pytest

from fullbatch.planning import several_names
from fullbatch.planning.profile import Profile
from tests.fullbatch.several_profiles import CPU, SMOL


def _of(model: str, *aliases: str, **settings: Any) -> Profile:
    return Profile.model_validate(
        {"description": "d", "model": model, "hardware": CPU, "aliases": list(aliases), **settings}
    )


def _faults(mine: Profile, *other: str, **settings: Any) -> list[str]:
    return list(several_names.faults([mine, _of(SMOL, *other, **settings)]))


@pytest.mark.parametrize(
    ("mine", "other", "line"),
    [
        (["gpt-4o"], ["gpt-4o"], "models[1]: models[0] is called 'gpt-4o' too; serve it once, or rename it"),
        (
            ["gpt-*"],
            ["gpt-4o"],
            "models[0].aliases: 'gpt-*' takes in 'gpt-4o' of models[1].aliases; write its names one by one, or a "
            "longer beginning",
        ),
        (["gpt-4o"], ["gpt-*"], "models[1].aliases: 'gpt-*' takes in 'gpt-4o' of models[0].aliases; write its"),
        (["gpt-4*"], ["gpt-*"], "models[1].aliases: 'gpt-*' takes in 'gpt-4*' of models[0].aliases; write its"),
        ([], ["ti*"], "models[1].aliases: 'ti*' takes in 'tiny' of models[0]; write its"),
        (["GPT-4o"], ["gpt-4o"], "models[1].aliases: 'gpt-4o' and 'GPT-4o' of models[0].aliases differ in capitals"),
        ([], ["Tiny"], "models[1].aliases: 'Tiny' and 'tiny' of models[0] differ in capitals alone; rename one"),
        ([], ["tiny:latest"], "models[1].aliases: 'tiny:latest' and 'tiny' of models[0] are one name to Ollama's"),
    ],
)
def test_two_names_that_clash_are_both_told(mine: list[str], other: list[str], line: str) -> None:
    (found,) = _faults(_of("tiny", *mine), *other)
    assert found.startswith(line)


def test_adapters_are_names_too() -> None:
    mine = _of("tiny", adapters={"house": "/a/folder"})
    assert _faults(mine, "ho*") == [
        "models[1].aliases: 'ho*' takes in 'house' of models[0]; write its names one by one, or a longer beginning"
    ]
    by_hand = _of("tiny", engine={"args": {"lora-modules": "house=/a/folder"}})
    assert "models[0] is called 'house' too" in _faults(by_hand, "house")[0]


def test_what_cannot_be_taken_for_another() -> None:
    assert _faults(_of("tiny", "gpt-*", "*"), "claude-*", "o1") == []
    assert _faults(_of("tiny", "gpt-*", "gpt-4o")) == []  # of one model
