from __future__ import annotations

import os
import pty
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fullbatch.top import keys


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Standard input is a terminal; what is written here is typed there."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "r", closefd=True) as file:
        monkeypatch.setattr(sys, "stdin", file)
        yield ours
    os.close(ours)


def test_q_ends_the_waiting_at_once_and_other_keys_do_not(terminal: int) -> None:
    with keys.pressed() as sleep:
        os.write(terminal, b"xy")
        began = time.monotonic()
        sleep(0.3)
        assert time.monotonic() - began >= 0.3
        os.write(terminal, b"q")
        with pytest.raises(KeyboardInterrupt):
            sleep(30)


def test_without_a_terminal_it_just_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path(os.devnull).open(encoding="utf-8") as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        with keys.pressed() as sleep:
            assert sleep is time.sleep
