"""A throw-away checkout for the tests of the command line and the process runtime."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fullbatch.plan import Plan, make
from fullbatch.profile import load
from tests.fullbatch.checkout import REPOSITORY, Checkout


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    """Fails the test when a process started in the checkout outlives it."""
    root = tmp_path / "checkout"
    root.mkdir()
    made = Checkout(root)
    yield made
    left = made.end_all()
    assert not left, f"left running: {left}"


@pytest.fixture
def plan_of() -> Callable[[str], Plan]:
    """The plan of a shipped profile."""
    return lambda name: make(name, load(REPOSITORY, name))
