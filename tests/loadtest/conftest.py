"""One fake engine for the tests that only read from it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.loadtest.programs import fake_engine


@pytest.fixture(scope="session")
def engine() -> Iterator[tuple[str, int]]:
    """(base URL, pid): 40 ms to the first token, 10 ms between tokens."""
    with fake_engine(ttft_ms=40, itl_ms=10) as started:
        yield started
