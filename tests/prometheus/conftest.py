from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.prometheus.exposition import CARDS, DRAFTING, ENGINE, GATEWAY, LOADTEST, NODE
from tests.prometheus.live import Prometheus, install_tools, running, targets


@pytest.fixture(scope="session")
def tools() -> Path:
    return install_tools()


PAGES = {
    "/vllm": (ENGINE, DRAFTING),
    "/gateway": (GATEWAY,),
    "/loadtest": (LOADTEST,),
    "/node": (NODE,),
    "/gpu": (CARDS,),
}


@pytest.fixture(scope="session")
def prometheus(tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with targets(PAGES) as target, running(tools, tmp_path_factory.mktemp("busy"), target) as server:
        yield server


@pytest.fixture(scope="session")
def idle_prometheus(tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with targets(PAGES, growth=0) as target, running(tools, tmp_path_factory.mktemp("idle"), target) as server:
        yield server
