"""What makes a new version good: the KV cache, and a short load through a real load test against a fake engine."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from fullbatch.core.errors import EngineError
from fullbatch.planning.plan import Plan
from fullbatch.runtime.base import Awaited, RunningDeployment
from fullbatch.upkeep import judge
from tests.fullbatch.checkout import REPOSITORY
from tests.ports import free_port


def say(_line: str) -> None:
    pass


@pytest.mark.parametrize(
    ("now", "was", "good"),
    [
        (524_288, None, True),
        (500_000, None, True),
        (262_144, None, False),
        (262_144, 524_288, False),
        (600_000, 524_288, False),
        (400_000, 405_000, True),
        (None, 524_288, True),
    ],
    ids=["as planned", "nearly", "half", "half of what it was", "more", "as before, off the plan", "not said"],
)
def test_kv_tokens(plan_of: Callable[[str], Plan], now: int | None, was: int | None, good: bool) -> None:
    plan = plan_of("cpu-tiny")
    if good:
        judge.kv(now, plan, judge.Before(was), say)
        return
    with pytest.raises(EngineError, match=f"holds {now:,} tokens, 524,288 are planned"):
        judge.kv(now, plan, judge.Before(was), say)


def test_what_it_was_like_before() -> None:
    metrics = 'vllm:cache_config_info{kv_cache_size_tokens="77"} 1.0\n'
    running = SimpleNamespace(engine_metrics=lambda: metrics)
    assert judge.before(cast(RunningDeployment, running)) == judge.Before(77)


def awaited(url: str) -> Awaited:
    return cast(Awaited, SimpleNamespace(gateway_url=url, api_key=lambda: "fb-1", failure=lambda: None))


def test_a_short_load(plan_of: Callable[[str], Plan]) -> None:
    """A server that answers is good; nobody there is not, in one line."""
    plan, port = plan_of("cpu-tiny"), free_port()
    command = [sys.executable, "-m", "tests.fakes.engine", "--port", str(port)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as engine:
        try:
            assert engine.stdout is not None and engine.stdout.readline().startswith("listening")
            judge.load(REPOSITORY, awaited(f"http://127.0.0.1:{port}"), plan, say)
        finally:
            engine.terminate()
    with pytest.raises(EngineError, match="a short load test: ") as told:
        judge.load(REPOSITORY, awaited(f"http://127.0.0.1:{port}"), plan, say)
    assert "\n" not in str(told.value)


def test_one_that_dies_of_the_load_is_not_good(
    plan_of: Callable[[str], Plan], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(judge, "token", lambda *_: 1.0)
    monkeypatch.setattr(judge, "load", lambda *_: None)
    dead = SimpleNamespace(gateway_url="", failure=lambda: "container engine keeps dying")
    judged = judge.Judge(tmp_path, plan_of("cpu-tiny"), 1.0, lambda: None)
    with pytest.raises(EngineError, match="keeps dying"):
        judged.judge(cast(Awaited, dead), judge.Before(None), say)
