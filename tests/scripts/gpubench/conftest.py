"""The matrix that the bench ships."""

from __future__ import annotations

import pytest

from scripts.gpubench import matrix
from scripts.gpubench.matrix import Matrix


@pytest.fixture
def shipped() -> Matrix:
    return matrix.read(matrix.PLACE / "matrix.yaml")
