"""What serves while a race runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fullbatch.core.errors import StateError, UsageError
from fullbatch.lifecycle import deployment
from fullbatch.runtime import registry
from fullbatch.tune import aside
from tests.fullbatch.checkout import REPOSITORY


class _Serving:
    def __init__(self, profile: str, done: list[str]) -> None:
        self.profile, self.runtime, self.gateway_url, self._done = profile, "process", "http://127.0.0.1:8123", done

    def stop(self, _say: object) -> None:
        self._done.append(f"stop {self.profile}")


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    done: list[str] = []
    monkeypatch.setattr(registry, "running", lambda _root: iter([_Serving("cpu-tiny", done)]))
    monkeypatch.setattr(deployment, "choose", lambda *_: None)

    def up(_running: object, plan: Any, options: Any, _say: object) -> float:
        done.append(f"up {plan.name} {options.runtime} {options.ports.gateway}")
        return 1.0

    monkeypatch.setattr(deployment, "up", up)
    yield done


def test_it_is_not_touched_unless_that_was_asked_for(done: list[str]) -> None:
    with pytest.raises(StateError, match=r"cpu-tiny at http://127.0.0.1:8123 serves here.*race with --here"):
        with aside.aside(REPOSITORY, False, 60, lambda _: None):
            raise AssertionError
    assert done == []


def test_with_here_it_is_stopped_and_started_again_whatever_happens(done: list[str]) -> None:
    with pytest.raises(KeyboardInterrupt), aside.aside(REPOSITORY, True, 60, lambda _: None):
        done.append("race")
        raise KeyboardInterrupt
    assert done == ["stop cpu-tiny", "race", "up cpu-tiny process 8123"]


def test_a_race_is_told_from_what_serves(monkeypatch: pytest.MonkeyPatch, done: list[str]) -> None:
    monkeypatch.setattr(registry, "running", lambda _root: iter([_Serving("cpu-tiny.tune", done)]))
    with pytest.raises(StateError, match=r"another race.*fullbatch down cpu-tiny.tune"):
        with aside.aside(REPOSITORY, True, 60, lambda _: None):
            raise AssertionError
    assert done == []


def test_what_could_not_be_started_again_is_not_stopped(done: list[str], tmp_path: Path) -> None:
    (tmp_path / "profiles").mkdir()
    with pytest.raises(UsageError, match="no such profile"), aside.aside(tmp_path, True, 60, lambda _: None):
        raise AssertionError
    assert done == []
