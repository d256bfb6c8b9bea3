"""A throw-away checkout for the tests of the command line and the process runtime."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fullbatch.planning import deployments
from fullbatch.planning.plan import Plan
from tests.fullbatch.checkout import REPOSITORY, Checkout


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    """Fails the test when a process started in the checkout outlives it, or when it wrote to what others have too."""
    root = tmp_path / "checkout"
    root.mkdir()
    made = Checkout(root)
    yield made
    left, spoiled = made.end_all(), made.spoiled()
    assert not left, f"left running: {left}"
    assert not spoiled, f"written in place, though other tests share them; see _WRITTEN in checkout.py: {spoiled}"


@pytest.fixture
def plan_of() -> Callable[[str], Plan]:
    """The plan of a shipped profile."""
    return lambda name: deployments.planned(REPOSITORY, name)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """A function that puts a shell program of the test's own on a PATH with nothing else."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def write(name: str, body: str) -> None:
        (folder / name).write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        (folder / name).chmod(0o755)

    return write
