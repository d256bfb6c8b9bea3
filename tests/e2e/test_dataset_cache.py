"""What a real engine's prefix cache gives to a replayed file: what its conversations share, nothing of a run before."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.vllm_engines import VLLM
from tests.loadtest.programs import loadtest, quick, read_report

pytestmark = [pytest.mark.engine]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VLLM]:
    made = VLLM(tmp_path_factory.mktemp("engine"), "--enable-prompt-tokens-details")
    try:
        made.wait()
        yield made
    finally:
        made.stop()


def measured(engine: VLLM, folder: Path, file: Path) -> dict[str, Any]:
    """The usage of one stage of four conversations, one after the other."""
    words = quick(engine.url, folder, dataset=file, users="1", requests_per_user=4, warmup=0, max_tokens=4)
    at = words.index("--prompt-tokens")
    done = loadtest(*words[:at], *words[at + 2 :], timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    usage: dict[str, Any] = read_report(folder)["stages"][0]["client"]["usage"]
    return usage


def written(path: Path, shared: str, own: str) -> Path:
    entries = [
        {"messages": [{"role": "system", "content": shared}, {"role": "user", "content": f"{number} {own}"}]}
        for number in range(4)
    ]
    path.write_text("\n".join(map(json.dumps, entries)))
    return path


def test_a_second_run_of_a_file_finds_nothing_of_the_first_in_the_cache(engine: VLLM, tmp_path: Path) -> None:
    file = written(tmp_path / "own.jsonl", "Short.", "river city light " * 150)
    first, second = (measured(engine, tmp_path / name, file) for name in ("first", "second"))
    assert first["prompt_tokens"] > 1500
    # Not nothing: the beginning that all four have in common may fill a block of the cache.
    assert first["cached_tokens"] < 0.1 * first["prompt_tokens"]
    assert second["cached_tokens"] == first["cached_tokens"]


def test_what_the_conversations_share_is_in_the_cache_from_the_second_one_on(engine: VLLM, tmp_path: Path) -> None:
    file = written(tmp_path / "shared.jsonl", "river city light " * 200, "what?")
    usage = measured(engine, tmp_path / "run", file)
    each = usage["prompt_tokens"] / 4
    assert 2 * each < usage["cached_tokens"] <= 3 * each
