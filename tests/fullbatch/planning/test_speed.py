"""A line for each setting that makes few people faster: on or off, and why."""

from __future__ import annotations

from typing import Any

import pytest

from fullbatch.planning import explain, profile
from fullbatch.planning.plan import make
from fullbatch.planning.speed import SpeedSetting

DISK = {"ram_gib": 8, "disk": {"quota_gib": 9}}
NAMES = ["speculative", "performance-mode", "kv_cache fp8", "kv_offload"]


def _lines(model: str = "Qwen/Qwen3-8B", **changes: Any) -> dict[str, SpeedSetting]:
    data = {"description": "d", "model": model, "hardware": {"gpu": "rtx4090"}, "users": 2}
    return {one.name: one for one in make("x", profile.parse(data | changes, "x")).speed}


def test_there_is_a_line_for_each_with_a_reason_and_a_source() -> None:
    found = _lines()
    assert list(found) == NAMES
    assert all(one.why and one.source and "\n" not in one.why for one in found.values())
    assert not any(one.on for one in found.values())


@pytest.mark.parametrize(
    ("changes", "name", "on", "why"),
    [
        ({}, "speculative", False, "speculative: eagle3 is what would be tried first"),
        ({"users": 50}, "speculative", False, "50 users; drafts take room"),
        ({"speculative": "eagle3"}, "speculative", True, "eagle3: 3 tokens ahead with RedHatAI/Qwen3-8B"),
        ({"speculative": "ngram"}, "speculative", True, "ngram: 4 tokens ahead; n-gram drafts help where the answer"),
        ({"speculative": "ngram", "users": 9}, "speculative", True, "but above about 4 answers at once"),
        (
            {"engine": {"args": {"speculative-config": {"method": "ngram"}}}}, "speculative", True,
            "engine.args.speculative-config says how",
        ),
        ({}, "performance-mode", False, "interactivity gave one person nothing on an H200"),
        ({"engine": {"args": {"performance-mode": "interactivity"}}}, "performance-mode", True, "engine.args: inter"),
        ({}, "kv_cache fp8", False, "all requests fit at 16 bit"),
        ({"users": 50}, "kv_cache fp8", False, "requests of the full context fit at 16 bit"),
        ({"kv_cache": "fp8"}, "kv_cache fp8", True, "twice the tokens"),
        (
            {"model": "nvidia/Qwen3.6-27B-NVFP4", "hardware": {"gpu": "rtx5090"}}, "kv_cache fp8", True,
            "the checkpoint asks for it",
        ),
        ({"hardware": {"gpu": "rtx3090"}}, "kv_cache fp8", False, "it needs compute capability 8.9"),
        ({"model": "tiny", "hardware": {"cpu": {"kv_cache_gib": 1}}}, "kv_cache fp8", False, "it needs a card"),
        ({}, "kv_offload", False, "long beginnings of prompts that come again"),
        ({"kv_offload": DISK}, "kv_offload", True, "and 9 GiB of disk that outlast"),
        ({"model": "tiny", "hardware": {"cpu": {"kv_cache_gib": 1}}}, "kv_offload", False, "on the processor"),
    ],
)  # fmt: skip
def test_each_says_what_decides(changes: dict[str, Any], name: str, on: bool, why: str) -> None:
    line = _lines(**changes)[name]
    assert line.on is on and why in line.why, line


def test_explain_has_them() -> None:
    data = {"description": "d", "model": "Qwen/Qwen3-8B", "hardware": {"gpu": "rtx4090"}, "speculative": "ngram"}
    found = {line.flag: line.verdict for line in explain.lines(make("x", profile.parse(data, "x")))}
    assert [found[f"profile: {name}"] for name in NAMES] == ["on", "off", "off", "off"]
