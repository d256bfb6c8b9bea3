from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from fullbatch.core.errors import EngineError, HostError, StateError
from fullbatch.lifecycle import deployment
from fullbatch.lifecycle.deployment import Options
from fullbatch.planning import plan_facts
from fullbatch.planning.plan import Plan
from fullbatch.runtime.base import DeadEngine, Ports, Say
from fullbatch.runtime.compose.deployment import ComposeDeployment
from fullbatch.runtime.process import state
from fullbatch.runtime.process.deployment import ProcessDeployment
from tests.fullbatch.checkout import REPOSITORY

# The Docker SDK leaves its socket open when nothing answers.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

DOCKER_WORKS = "#!/bin/sh\necho 28.5.1\n"


@pytest.fixture(autouse=True)
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A PATH without Docker, and no Docker behind a variable either."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-docker.sock")
    yield tmp_path
    gc.collect()  # while the mark below still holds


class Broken(ProcessDeployment):
    """Fails where the test says; keeps what was done with it."""

    def __init__(self, root: Path, plan: Plan, fails_at: str, error: BaseException) -> None:
        super().__init__(root, plan, Ports(gateway=1))
        self.did: list[str] = []
        self._fails_at, self._error = fails_at, error

    def preflight(self) -> None:
        self._do("preflight")

    def start(self, say: Say) -> None:
        say("start")
        self._do("start")

    def failure(self) -> str | None:
        self._do("wait")
        return None

    def stop(self, say: Say) -> None:
        say("stop")
        self._do("stop")

    def _do(self, what: str) -> None:
        self.did.append(what)
        if what == self._fails_at:
            raise self._error


@pytest.mark.parametrize(("runtime", "kind"), [("process", ProcessDeployment), ("compose", ComposeDeployment)])
def test_what_was_asked_for_is_taken(runtime: str, kind: type, plan_of: Callable[[str], Plan]) -> None:
    assert isinstance(deployment.choose(REPOSITORY, plan_of("cpu"), Options(runtime)), kind)


def test_auto_takes_compose_where_docker_answers(path: Path, plan_of: Callable[[str], Plan]) -> None:
    assert isinstance(deployment.choose(REPOSITORY, plan_of("cpu"), Options()), ProcessDeployment)
    (path / "docker").write_text(DOCKER_WORKS, encoding="utf-8")
    (path / "docker").chmod(0o755)
    chosen = deployment.choose(REPOSITORY, plan_of("cpu"), Options(ports=Ports(gateway=9999)))
    assert isinstance(chosen, ComposeDeployment)
    assert chosen.gateway_url == "http://127.0.0.1:9999"


@pytest.mark.parametrize("error", [HostError("x"), KeyboardInterrupt(), RuntimeError("a defect")])
@pytest.mark.parametrize(
    ("fails_at", "did"),
    [
        ("preflight", ["preflight"]),
        ("start", ["preflight", "start", "stop"]),
        ("wait", ["preflight", "start", "wait", "stop"]),
    ],
)
def test_whatever_goes_wrong_nothing_is_left(
    tmp_path: Path, plan_of: Callable[[str], Plan], fails_at: str, did: list[str], error: BaseException
) -> None:
    broken = Broken(tmp_path, plan_of("cpu-tiny"), fails_at, error)
    with pytest.raises(type(error)):
        deployment.up(broken, plan_of("cpu-tiny"), Options(timeout=5), lambda _text: None)
    assert broken.did == did


def test_the_time_limit_is_the_options(tmp_path: Path, plan_of: Callable[[str], Plan]) -> None:
    never = Broken(tmp_path, plan_of("cpu-tiny"), "nowhere", RuntimeError())
    with pytest.raises(EngineError, match="no token within 0 s"):
        deployment.wait(never, plan_of("cpu-tiny"), Options(timeout=0.01), lambda _text: None)


def test_down_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="^nothing is running; there is nothing to stop$"):
        deployment.down(tmp_path, None, lambda _text: None)
    with pytest.raises(StateError, match="^profile 'cpu' is not running$"):
        deployment.down(tmp_path, "cpu", lambda _text: None)


def test_status_of_nothing(tmp_path: Path) -> None:
    assert deployment.status(tmp_path) == []


@pytest.mark.parametrize(
    ("log", "cause", "change"),
    [
        (
            "vllm serve: error: unrecognized arguments: --swap-space 4",
            "vLLM 0.32.0 does not know --swap-space 4",
            "remove",
        ),
        ("ValueError: something new", "ValueError: something new", "read its log: fullbatch logs cpu"),
        ("", "its log does not say why", "read its log: fullbatch logs cpu"),
    ],
)
def test_status_says_why_an_engine_has_died(
    log: str, cause: str, change: str, tmp_path: Path, plan_of: Callable[[str], Plan]
) -> None:
    """The gateway lives on, the engine does not."""
    folder = state.run_dir(tmp_path, "cpu")
    folder.mkdir(parents=True)
    (folder / "engine.log").write_text(log, encoding="utf-8")
    command = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as gateway:
        created = psutil.Process(gateway.pid).create_time()
        processes = (
            state.Started("gateway", gateway.pid, created, str(folder / "gateway.log")),
            state.Started("engine", 2**22 + 1, created, str(folder / "engine.log")),
        )
        urls = {"engine": "http://127.0.0.1:1"}
        known = plan_facts.of(plan_of("cpu"))
        state.write(tmp_path, state.ProcessRun("cpu", "http://127.0.0.1:1", urls, "keys", processes, facts=known))
        (found,) = deployment.status(tmp_path)
        gateway.communicate(b"")
    assert not found["healthy"]
    (failure,) = found["failures"]
    assert failure["cause"] == cause
    assert failure["change"].startswith(change)


def test_a_dead_engine_beside_a_living_one_is_explained_by_its_own_model(plan_of: Callable[[str], Plan]) -> None:
    facts = plan_facts.of(plan_of("cpu-two-models"))
    log = ["ValueError: User-specified max_model_len (4096) is greater than the derived max_model_len (x=1024 or x=1)"]
    (failure,) = deployment.failures("cpu-two-models", [DeadEngine("engine-tiny", log)], facts)
    assert (failure["engine"], failure["cause"]) == ("engine-tiny", "tiny was made for 1024 tokens, 4096 are asked for")


INFO = (
    '# TYPE vllm:cache_config_info gauge\nvllm:cache_config_info{block_size="128",cache_dtype="auto",engine="0",'
    'kv_cache_max_concurrency="128.0",kv_cache_size_tokens="524288",num_gpu_blocks="4096"} 1.0\nother{a="b"} 2\n'
)


@pytest.mark.parametrize(
    ("metrics", "tokens"),
    [
        (INFO, 524_288),
        ("", None),
        ("vllm:num_requests_running 3.0\n", None),
        (INFO.replace('"524288"', '"None"'), None),
        (INFO.replace("vllm:cache_config_info{", "other_info{"), None),
        (INFO + INFO.replace('engine="0"', 'engine="1"'), 2 * 524_288),
    ],
)
def test_the_kv_tokens_vllm_reports(metrics: str, tokens: int | None) -> None:
    assert deployment.kv_tokens_reported(metrics) == tokens
