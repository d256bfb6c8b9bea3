"""Loads, and files that are none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fullbatch.core.errors import UsageError
from fullbatch.simulate import load
from fullbatch.simulate.request import LoadRequest


def test_users_and_rates() -> None:
    assert load.closed(2, 3, 10, 20).users == ((LoadRequest(10, 20),) * 3,) * 2
    arrivals = load.at_rate(50, 10, 1, 1).arrivals
    assert 400 < len(arrivals) < 600 and all(0 < at < 10 for at, _ in arrivals)
    assert arrivals == load.at_rate(50, 10, 1, 1).arrivals, "the same each time"


def test_a_trace_begins_at_its_first_request(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    lines = [
        {"at_s": 9.5, "prompt_tokens": 3, "output_tokens": 4, "model": "m"},
        {"at_s": 9, "prompt_tokens": 1, "output_tokens": 2, "cached_tokens": 1},
    ]
    path.write_text("\n\n".join(map(json.dumps, lines)) + "\n")
    assert load.trace(path).arrivals == ((0.0, LoadRequest(1, 2, 1)), (0.5, LoadRequest(3, 4)))


GOOD = {"at_s": 0, "prompt_tokens": 1, "output_tokens": 1}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "is no JSON object; write at_s, prompt_tokens and output_tokens"),
        ("[1]", "is no JSON object"),
        (json.dumps(GOOD | {"at_s": -1}), "at_s: -1: write seconds since the beginning, 0 or more"),
        (json.dumps(GOOD | {"at_s": True}), "at_s: True"),
        (json.dumps(GOOD | {"at_s": float("nan")}), "at_s: nan"),
        (json.dumps(GOOD | {"at_s": "2026-11-30"}), "at_s: '2026-11-30'"),
        (json.dumps({"at_s": 1, "output_tokens": 2}), "prompt_tokens: None: write a whole number from 1 to 10,000,000"),
        (json.dumps(GOOD | {"output_tokens": 1.5}), "output_tokens: 1.5"),
        (json.dumps(GOOD | {"output_tokens": 10**12}), "output_tokens: 1000000000000"),
        (json.dumps(GOOD | {"cached_tokens": -1}), "cached_tokens: -1"),
        (json.dumps(GOOD | {"cached_tokens": 2}), "cached_tokens: 2: more than the 1 of prompt_tokens"),
        (json.dumps(GOOD | {"at_s": 1e300}), "at_s: 1e+300"),
        ("[" * 20_000, "is no JSON object"),
    ],
)
def test_a_line_that_is_none_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "trace.jsonl"
    path.write_text(json.dumps(GOOD) + "\n" + line + "\n")
    with pytest.raises(UsageError) as error:
        load.trace(path)
    assert str(error.value).startswith(f"{path}: line 2: ") and said in str(error.value)


@pytest.mark.parametrize(("content", "said"), [(b"", "no request in it"), (b"\xff\xfe\0", "is no text in UTF-8")])
def test_a_file_that_is_none(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "trace.jsonl"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=said):
        load.trace(path)
    with pytest.raises(UsageError, match="No such file"):
        load.trace(tmp_path / "none")
    with pytest.raises(UsageError, match="Is a directory"):
        load.trace(tmp_path)


def test_a_trace_without_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "MOST_REQUESTS", 3)
    path = tmp_path / "trace.jsonl"
    path.write_text((json.dumps(GOOD) + "\n") * 4)
    with pytest.raises(UsageError, match="more than 3 requests; cut it"):
        load.trace(path)
