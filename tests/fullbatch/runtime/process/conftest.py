"""Ports for one deployment."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.fullbatch.runtime.process.started import Words


@pytest.fixture
def words(free_port: Callable[[], int]) -> Words:
    return Words(free_port)
