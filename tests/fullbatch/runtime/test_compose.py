"""The Compose runtime against a `docker` of the test's own; the real one is tested in tests/e2e."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from fullbatch.errors import HostError
from fullbatch.plan import Plan
from fullbatch.runtime import compose
from fullbatch.runtime.compose import ComposeDeployment

# The Docker SDK leaves its socket open when nothing answers.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

# Writes down what it was asked, with the variables compose.yaml reads.
RECORDS = """#!/bin/sh
case "$*" in
"compose version --short") echo 5.6.1;;
info*) echo 28.5.1;;
*) echo "$PROFILE $GATEWAY_PORT $PWD $*" >> {log}; exit {code};;
esac
"""


@pytest.fixture(autouse=True)
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-docker.sock")
    yield tmp_path
    gc.collect()  # while the mark below still holds


def _docker(path: Path, code: int = 0) -> Path:
    log = path / "asked"
    (path / "docker").write_text(RECORDS.format(log=log, code=code), encoding="utf-8")
    (path / "docker").chmod(0o755)
    return log


@pytest.fixture
def deployment(tmp_path: Path, plan_of: Callable[[str], Plan]) -> ComposeDeployment:
    return ComposeDeployment(tmp_path, plan_of("cpu-tiny"), 9999)


def test_docker_is_asked_for_in_the_checkout_with_profile_and_port(path: Path, deployment: ComposeDeployment) -> None:
    log = _docker(path)
    said: list[str] = []
    deployment.preflight()
    deployment.start(said.append)
    deployment.stop(said.append)
    up, down = log.read_text(encoding="utf-8").splitlines()
    assert up.startswith(f"cpu-tiny 9999 {path} compose up --detach")
    assert down.startswith(f"cpu-tiny 9999 {path} compose down")
    assert "--volumes" not in down
    assert len(said) == 2


@pytest.mark.parametrize("code", [0, 2])
def test_a_program_of_the_gateways_runs_in_its_container(path: Path, deployment: ComposeDeployment, code: int) -> None:
    log = _docker(path, code)
    assert deployment.gateway_program("gateway.keys", ["create", "alice", "--json"]) == code
    inside = "python -m gateway.keys --store /var/lib/fullbatch/store create alice --json"
    assert log.read_text(encoding="utf-8") == f"cpu-tiny 9999 {path} compose exec -T gateway {inside}\n"


def test_what_docker_refuses_is_a_host_error(path: Path, deployment: ComposeDeployment) -> None:
    _docker(path, code=17)
    with pytest.raises(HostError, match="`docker compose up` ended with exit code 17"):
        deployment.start(lambda _text: None)


def test_a_card_profile_without_a_card_is_refused_before_docker_is_asked_to_start(
    path: Path, plan_of: Callable[[str], Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    log = _docker(path)
    monkeypatch.delenv("DOCKER_HOST")
    with pytest.raises(HostError, match="wants 1 NVIDIA card"):
        ComposeDeployment(path, plan_of("rtx4090-qwen2.5-7b"), 9999).preflight()
    assert not log.exists()


def test_the_digest_changes_with_the_rendered_files(tmp_path: Path) -> None:
    folder = tmp_path / "rendered" / "p"
    folder.mkdir(parents=True)
    (folder / "gateway.yaml").write_text("a: 1\n")
    before = compose.config_digest(tmp_path, "p")
    (folder / "gateway.yaml").write_text("a: 2\n")
    assert compose.config_digest(tmp_path, "p") != before


def test_without_docker_it_is_not_started(deployment: ComposeDeployment) -> None:
    with pytest.raises(HostError, match="Docker is not installed"):
        deployment.preflight()


@pytest.mark.parametrize(("follow", "words"), [(True, "logs --follow"), (False, "logs --tail 100")])
def test_logs(path: Path, deployment: ComposeDeployment, follow: bool, words: str) -> None:
    log = _docker(path, code=3)
    assert deployment.logs(follow) == 3
    assert log.read_text(encoding="utf-8").rstrip().endswith(words)


def test_where_docker_does_not_answer_nothing_runs(deployment: ComposeDeployment) -> None:
    assert compose.containers() == []
    assert compose.running_profile() is None
    assert deployment.log_tail(5) == []
    assert deployment.failure() is None
    assert deployment.api_key() == ""


def test_every_running_engine_is_asked_for_its_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    class Engine:
        def __init__(self, status: str, code: int, output: bytes) -> None:
            self.status, self._answer = status, SimpleNamespace(exit_code=code, output=output)

        def exec_run(self, _command: list[str]) -> SimpleNamespace:
            return self._answer

    engines = [
        Engine("running", 1, b"x"),
        Engine("exited", 0, b"x"),
        Engine("running", 0, b"a 1\n"),
        Engine("running", 0, b"a 2\n"),
    ]
    monkeypatch.setattr(compose, "engine_containers", lambda: engines)
    assert compose.engine_metrics() == "a 1\na 2\n"
