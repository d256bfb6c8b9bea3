"""What the load test is told of a race's load."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fullbatch.core.errors import UsageError
from fullbatch.simulate.request import LoadRequest
from fullbatch.tune import load
from fullbatch.tune.bench import RaceLoad
from tests.fullbatch.checkout import REPOSITORY

NONE: dict[str, int | None] = {"prompt-tokens": None, "max-tokens": None}


def test_a_workload_by_name_has_its_kinds_mean_and_enough_requests() -> None:
    found = load.read(REPOSITORY, "chat", NONE, 2, 4096)
    assert found.typical == LoadRequest(660, 150, 600)
    assert found.words_for(RaceLoad(5))[-4:] == ["--users", "5", "--requests-per-user", "5"]
    assert found.words_for(RaceLoad(50, held_out=True))[-6:] == [
        "--part", "held-out", "--users", "50", "--requests-per-user", "2",
    ]  # fmt: skip
    shorter = load.read(REPOSITORY, "seed", {"prompt-tokens": 16, "max-tokens": 8}, 2, 4096)
    assert shorter.typical == LoadRequest(16, 8)
    assert shorter.words[-4:] == ("--prompt-tokens", "16", "--max-tokens", "8")


def test_weights_count(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(
        "kinds:\n- {name: a, prompt_tokens: 100, output_tokens: 10, weight: 3}\n"
        "- {name: b, prompt_tokens: 500, output_tokens: 50}\n",
        encoding="utf-8",
    )
    assert load.read(REPOSITORY, str(path), NONE, 2, 4096).typical == LoadRequest(200, 20)


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ('[{"messages": [{"role": "user", "content": "', "--dataset"),
        ('{"conversations": []}', "--dataset"),
        ('{"timestamp": 0, "input_length": 5, "output_length": 5}\n', "--trace"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03,9,1\n", "--trace"),
    ],
)
def test_files_are_told_apart_by_their_first_object(tmp_path: Path, text: str, option: str) -> None:
    path = tmp_path / "some.jsonl"
    path.write_text(text, encoding="utf-8")
    found = load.read(REPOSITORY, str(path), NONE, 2, 4096)
    assert found.words[0] == option and f"{option}-context" in found.words
    assert (found.typical is None) == (option == "--dataset")


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("chta", "there is no 'chta'; give .*chat"),
        ("/nowhere/x.jsonl", "/nowhere/x.jsonl: No such file"),
        ("/nowhere/x.yaml", "there is no '/nowhere/x.yaml'"),
    ],
)
def test_what_is_not_there(wanted: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        load.read(REPOSITORY, wanted, NONE, 2, 4096)


def test_what_is_no_workload(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    for text in ("[]\n", "kinds: 3\n", "kinds: [{name: a}]\n", "kinds: []\n", "a: b: c\n"):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(UsageError, match="--workload .*own.yaml"):
            load.read(REPOSITORY, str(path), NONE, 2, 4096)


def test_a_trace_has_the_mean_of_what_fits(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    rows = [
        {"at_s": 0, "prompt_tokens": prompt, "output_tokens": 10, "cached_tokens": 50} for prompt in (100, 300, 9000)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert load.read(REPOSITORY, str(path), NONE, 2, 4096).typical == LoadRequest(200, 10, 50)
    with pytest.raises(UsageError, match="none of its requests fits the context of 50 tokens"):
        load.read(REPOSITORY, str(path), NONE, 2, 50)
    path.write_text("{}\n", encoding="utf-8")
    with pytest.raises(UsageError, match="--workload .*t.jsonl: line 1: prompt_tokens: None"):
        load.read(REPOSITORY, str(path), NONE, 2, 50)
