"""Traces of four shapes, and files that are none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from common import trace_file
from common.text_file import FileFault
from common.trace_file import TracedRequest

OURS = {"at_s": 1, "prompt_tokens": 5, "output_tokens": 2}
LOG = {
    "time": 1000.5, "request_id": "r", "endpoint": "/v1/chat/completions", "key": "alice", "model": "m", "engine": "e",
    "status": 200, "outcome": "ok", "ms": 500.0, "prompt_tokens": 9, "cached_tokens": 4, "completion_tokens": 3,
    "exact": True,
}  # fmt: skip


def written(path: Path, *lines: object) -> Path:
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    path.write_text(f"{text}\n", encoding="utf-8")
    return path


def test_four_shapes_are_read_and_begin_at_their_first(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    ours = trace_file.read(written(path, OURS, "", OURS | {"at_s": 0.5, "group": 2, "cached_tokens": 3}), 9)
    assert ours.requests == (TracedRequest(0, 5, 2, 3, 2), TracedRequest(0.5, 5, 2)) and ours.whole
    mooncake = {"timestamp": 2500, "input_length": 700, "output_length": 5, "hash_ids": [3, 4]}
    made = trace_file.read(written(path, mooncake, mooncake | {"timestamp": 4000, "hash_ids": [3]}), 9).requests
    assert [(one.at_s, one.blocks, one.block_tokens) for one in made] == [(0, (3, 4), 512), (1.5, (3,), 512)]
    rows = ("2023-11-16 18:17:03.9799600,4808,10", "2023-11-16 18:17:04.0799600,110,27")
    azure = trace_file.read(written(path, "TIMESTAMP,ContextTokens,GeneratedTokens", *rows), 9).requests
    said = [(round(one.at_s, 3), one.prompt_tokens, one.output_tokens) for one in azure]
    assert said == [(0, 4808, 10), (0.1, 110, 27)]
    failed = {key: value for key, value in LOG.items() if "tokens" not in key} | {"status": 503, "outcome": "refused"}
    log = trace_file.read(written(path, LOG, failed), 9)
    assert log.requests == (TracedRequest(0, 9, 3, 4, model="m"),) and log.left_out == 1


def test_an_answer_was_asked_for_before_its_line_was_written() -> None:
    found = trace_file.of_access_log(LOG)
    assert found and found.at_s == 1000.0
    for change in (
        {"status": 400},
        {"prompt_tokens": "x"},
        {"cached_tokens": 10},
        {"ms": None},
        {"completion_tokens": 0},
    ):
        assert trace_file.of_access_log(LOG | change) is None


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["{"], "line 1: is no JSON object; write at_s, prompt_tokens and output_tokens"),
        (["[1, 2]"], "line 1: is no JSON object"),
        ([OURS, OURS | {"at_s": -1}], "line 2: at_s: -1: write seconds since the beginning, 0 or more"),
        ([OURS, OURS | {"at_s": None}], "line 2: at_s: None"),
        ([OURS, {"at_s": 1, "output_tokens": 2}], "line 2: prompt_tokens: None: write a whole number from 1"),
        ([OURS | {"group": -1}], "line 1: group: -1"),
        ([OURS | {"model": 3}], "line 1: model: 3: write a text"),
        ([{"timestamp": -5, "input_length": 1, "output_length": 1}], "timestamp: -5: write milliseconds"),
        ([{"timestamp": 5, "input_length": 1, "output_length": 1, "hash_ids": ["a"]}], "hash_ids: write a list"),
        (["TIMESTAMP,ContextTokens,GeneratedTokens", "yesterday,1,2"], "line 2: TIMESTAMP: 'yesterday'"),
        (["TIMESTAMP,ContextTokens,GeneratedTokens", "2023-11-16 18:17:03,x,2"], "line 2: ContextTokens: 'x'"),
        (["TIMESTAMP,ContextTokens,GeneratedTokens", "2023-11-16 18:17:03"], "line 2: write TIMESTAMP,Con"),
        ([], "no request in it"),
        (["x" * 2_000_000], "line 1: longer than 1 MiB"),
    ],
)
def test_what_is_none_is_one_line_with_its_number(tmp_path: Path, lines: list[object], said: str) -> None:
    with pytest.raises(FileFault) as found:
        trace_file.read(written(tmp_path / "trace", *lines), 9)
    assert said in str(found.value) and "\n" not in str(found.value) and len(str(found.value)) < 200


def test_ten_gigabytes_are_read_no_further_than_wanted(tmp_path: Path) -> None:
    path = written(tmp_path / "trace", *[OURS] * 5)
    with path.open("r+b") as file:
        file.truncate(10 << 30)  # the rest is one line of zeros, which takes no disk
    found = trace_file.read(path, 3)
    assert len(found.requests) == 3 and not found.whole
    with pytest.raises(FileFault, match="line 6: longer than 1 MiB"):
        trace_file.read(path, 9)


def test_blocks_that_came_before_are_cached_as_far_as_a_prompt_begins_with_them() -> None:
    asked = [TracedRequest(0, 20, 1, blocks=ids, block_tokens=8) for ids in ((1, 2, 3), (1, 2, 9), (7, 2), (1, 2, 3))]
    assert [one.cached_tokens for one in trace_file.with_cached(asked)] == [0, 16, 0, 19]
    assert [one.cached_tokens for one in trace_file.with_cached([TracedRequest(0, 9, 1, 4)])] == [4]


def test_the_longest_pause_is_known(tmp_path: Path) -> None:
    found = trace_file.read(written(tmp_path / "trace", *(OURS | {"at_s": at} for at in (0, 1, 50, 51))), 9)
    assert found.longest_pause == (49, 2)
