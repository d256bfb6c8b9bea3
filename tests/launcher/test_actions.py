"""Sleeping and waking when they go wrong: the process ends, and it is counted."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.launcher.launchers import Launcher, gone, two

Start = Callable[..., Launcher]


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("sleep", "did not fall asleep as it should: /sleep answers 500"),
        ("insomnia", "did not fall asleep as it should: it says that it is not asleep"),
    ],
)
def test_a_failed_sleep_ends_the_process(start_launcher: Start, fault: str, why: str) -> None:
    launcher = start_launcher(two(sleep_fault=fault))
    pid = launcher.do("a", "start", "ready")["pid"]
    failed = launcher.do("a", "sleep", "failed")
    assert failed["why"].startswith(why)
    assert failed["faults"] == {"sleep": 1}
    assert gone(pid)
    launcher.do("b", "start", "ready")


@pytest.mark.parametrize(("fault", "why"), [("wake", "/wake_up answers 500"), ("death", "/wake_up: ")])
def test_a_failed_wake_ends_the_process(start_launcher: Start, fault: str, why: str) -> None:
    launcher = start_launcher(two(sleep_fault=fault))
    launcher.do("a", "start", "ready")
    pid = launcher.do("a", "sleep", "asleep")["pid"]
    failed = launcher.do("a", "wake", "failed")
    assert failed["why"].startswith(f"did not wake up: {why}")
    assert failed["faults"] == {"wake": 1}
    assert gone(pid)
    launcher.do("a", "start", "ready")  # a cold start is always possible


def test_one_that_has_work_is_not_put_to_sleep(start_launcher: Start) -> None:
    launcher = start_launcher(two(ttft_ms=1500.0))
    launcher.do("a", "start", "ready")
    body = {"model": "a", "prompt": "x", "max_tokens": 4, "stream": True}
    with httpx.stream("POST", f"{launcher.engine('a')}/v1/completions", json=body) as answer:
        refused = launcher.do("a", "sleep", "ready")
        assert refused["why"] == "cannot be put to sleep: it has 1 requests"
        assert "[DONE]" in answer.read().decode()
    launcher.do("a", "sleep", "asleep")


def test_one_that_does_not_sleep_is_not_asked_to(start_launcher: Start) -> None:
    launcher = start_launcher(two())
    launcher.do("b", "start", "ready")
    assert launcher.ask("POST", "/models/b/sleep") == (409, {"why": "'b' does not sleep; stop it"})


@pytest.mark.parametrize(("used", "state"), [(900, "asleep"), (1800, "failed"), ("what", "failed")])
def test_memory_that_is_not_given_back_ends_the_sleeper(
    start_launcher: Start, short_folder: Path, used: object, state: str
) -> None:
    (short_folder / "used").write_text(f"{used}\n")
    command = [sys.executable, "-c", f"print(open('{short_folder}/used').read())"]
    launcher = start_launcher(two(), memory={"command": command, "asleep_mib": 1500})
    pid = launcher.do("a", "start", "ready")["pid"]
    ended = launcher.do("a", "sleep", state)
    assert gone(pid) == (state == "failed")
    if used == 1800:
        assert "1800 MiB of the card are in use, and 1 asleep may keep 1500" in ended["why"]
