from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.real.served import Real, served


@pytest.fixture(scope="package")
def real(smollm2: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    """One engine for all files of this folder."""
    with served(tmp_path_factory.mktemp("real"), smollm2) as running:
        yield running
