"""The Compose runtime against a `docker` of the test's own; the real one is tested in tests/e2e."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from fullbatch.core.errors import HostError, StateError
from fullbatch.lifecycle.deployment import down, status
from fullbatch.planning import plan_facts
from fullbatch.planning.plan import Plan
from fullbatch.runtime.compose import deployment as compose
from fullbatch.runtime.compose.deployment import ComposeDeployment

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
    assert down.endswith("/ compose --project-name fullbatch down --remove-orphans")
    assert len(said) == 2


@pytest.mark.parametrize("code", [0, 2])
def test_a_program_of_the_gateways_runs_in_its_container(path: Path, code: int) -> None:
    log = _docker(path, code)
    assert compose.gateway_program(path, "gateway.keys", ["create", "alice", "--json"]) == code
    inside = "python -m gateway.keys --store /var/lib/fullbatch/store create alice --json"
    assert log.read_text(encoding="utf-8").endswith(f" compose --project-name fullbatch exec -T gateway {inside}\n")


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


@pytest.mark.parametrize(("follow", "words"), [(True, "logs --follow"), (False, "logs --tail 7")])
def test_logs(path: Path, follow: bool, words: str) -> None:
    log = _docker(path, code=3)
    assert compose.logs(path, 7, follow) == 3
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
    monkeypatch.setattr(compose, "containers", lambda service: engines if service == "gateway" else [])
    assert compose.gateway_metrics() == "a 1\n"
    engines[2:] = []
    assert compose.gateway_metrics() == ""


class Container:
    """What the Docker SDK says of one."""

    def __init__(self, service: str, labels: dict[str, str], status: str = "running", port: int = 0) -> None:
        self.labels = labels | {"com.docker.compose.service": service}
        self.status, self.name = status, f"fullbatch-{service}-1"
        bindings = {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(port)}]} if port else {"8000/tcp": None}
        self.attrs = {
            "NetworkSettings": {"Ports": bindings},
            "State": {"Status": status, "ExitCode": int(status == "exited")},
        }

    def logs(self, tail: int) -> bytes:
        return b"a\nno route to the hub\n" if tail > 1 else b"no route to the hub\n"


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch, plan_of: Callable[[str], Plan]) -> None:
    """Profile `gone`, whose files are nowhere."""
    labels = {"fullbatch.profile": "gone", "fullbatch.facts": plan_facts.of(plan_of("cpu-tiny")).as_text()}
    found = [Container("engine", labels), Container("gateway", {}, port=8123), Container("model", {}, "exited")]
    monkeypatch.setattr(
        compose,
        "containers",
        lambda service=None: [one for one in found if service in (None, one.labels["com.docker.compose.service"])],
    )


@pytest.mark.usefixtures("running")
def test_what_runs_is_known_by_its_containers_alone(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = _docker(path)
    monkeypatch.setattr(compose, "engine_metrics", lambda: "")
    monkeypatch.setenv("COMPOSE_FILE", "/nowhere/compose.yaml")
    (found,) = status(path)
    assert (found["profile"], found["kv_tokens_planned"]) == ("gone", 524_288)
    assert found["gateway_url"] == "http://127.0.0.1:8123"
    assert compose.published_ports() == {8123: "gone"}
    down(path, "gone", lambda _text: None)
    down(path, None, lambda _text: None, volumes=True)
    asked = [line.partition(" compose ")[2] for line in log.read_text(encoding="utf-8").splitlines()]
    plain = "--project-name fullbatch down --remove-orphans"
    assert asked == [plain, f"{plain} --volumes"]


@pytest.mark.usefixtures("running")
def test_what_another_deployment_would_replace_is_said(path: Path, deployment: ComposeDeployment) -> None:
    _docker(path)
    with pytest.raises(StateError, match="profile 'gone' is running in Docker, and 'cpu-tiny' would replace it"):
        deployment.preflight()


@pytest.mark.usefixtures("running")
def test_a_download_that_failed_ends_the_wait_with_its_last_words(deployment: ComposeDeployment) -> None:
    said = deployment.failure()
    assert said == "container fullbatch-model-1 has ended with exit code 1, which ends: no route to the hub"


def test_what_was_started_is_what_bare_compose_means(path: Path, deployment: ComposeDeployment) -> None:
    (path / ".env").write_text("# mine\nHF_TOKEN=hf_x\nPROFILE=other\n", encoding="utf-8")
    assert deployment.remember()
    lines = (path / ".env").read_text(encoding="utf-8").splitlines()
    assert lines[:2] == ["# mine", "HF_TOKEN=hf_x"]
    assert {"PROFILE=cpu-tiny", "GATEWAY_PORT=9999"} < set(lines) and "PROFILE=other" not in lines
    assert not deployment.remember(), "the second time there is nothing to say"


@pytest.mark.parametrize(("read", "port_inside"), [(compose.READ_METRICS, 8000), (compose.READ_GATEWAY_METRICS, 9091)])
def test_the_engines_and_the_gateways_numbers_are_not_asked_of_a_proxy(read: str, port_inside: int) -> None:
    """Docker puts the proxies of ~/.docker/config.json into every container."""
    with _Says(b"vllm:x 1\n") as port:
        program = read.replace(f":{port_inside}", f":{port}").replace("range(8000, 8016)", f"[{port}]")
        environment = {"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=30, check=False
        )
    assert done.stdout == "vllm:x 1\n\n", done.stderr


class _Says(AbstractContextManager[int]):
    """A server on loopback that answers everything with these bytes; its port."""

    def __init__(self, body: bytes) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def __enter__(self) -> int:
        return int(self._server.server_address[1])

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
