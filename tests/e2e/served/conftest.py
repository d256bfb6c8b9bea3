from collections.abc import Iterator

import pytest

from tests.e2e.served.up import Up, started


@pytest.fixture(scope="package")
def up() -> Iterator[Up]:
    """Shared by all files of this folder; the last of them, test_engine.py, ends with its death."""
    with started() as running:
        yield running
