"""The bench's two C programs, compiled once."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from bench.gateway.programs import Mock, Programs


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Programs:
    if shutil.which("cc") is None:
        pytest.skip("no C compiler 'cc' (Debian: apt-get install gcc libc6-dev)")
    return Programs(tmp_path_factory.mktemp("programs"))


@pytest.fixture
def mock(programs: Programs) -> Iterator[Mock]:
    with programs.mock() as running:
        yield running
