from pathlib import Path

import pytest

from tests.prometheus.live import install_tools


@pytest.fixture(scope="session")
def tools() -> Path:
    return install_tools()
