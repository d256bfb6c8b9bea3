"""The registry, and a third runtime that nobody else knows of: one file, one template folder, one line."""

# ruff: noqa: ARG002  # a toy leaves much of what it is told unused

from __future__ import annotations

import gc
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil
import pytest
import yaml

from fullbatch.cli import commands
from fullbatch.core import host, http
from fullbatch.core.check_result import CheckResult, ok
from fullbatch.core.errors import HostError, StateError, UsageError
from fullbatch.planning import plan_facts
from fullbatch.planning.plan import Plan
from fullbatch.runtime import registry, templates
from fullbatch.runtime.base import Deployment, Held, Ports, RunningDeployment, Runtime, Say
from tests.fullbatch.checkout import REPOSITORY

# The Docker SDK leaves its socket open when nothing answers.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

TEMPLATE = "kind: Toy\nname: {{ plan.name | tojson }}\nmodel: {{ plan.engines[0].served_name | tojson }}\n"


class ToyDeployment(Deployment):
    """A plan as one fake engine that is its own gateway, written down in a file of its own."""

    where_the_key_is = "nowhere: anybody may ask"

    def __init__(self, root: Path, plan: Plan, ports: Ports) -> None:
        self.root, self.plan, self.port = root, plan, ports.gateway
        self.gateway_url = f"http://127.0.0.1:{self.port}"

    def preflight(self) -> None:
        if _toys(self.root):
            raise HostError("there is a toy already")

    def start(self, say: Say) -> None:
        say("winding up the toy")
        words = ["--host", "127.0.0.1", "--port", str(self.port), "--model", self.plan.engines[0].served_name]
        with (self.root / "toy.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.fakes.engine", *words],
                cwd=REPOSITORY, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        process.returncode = 0  # nobody waits for it here; `stop` does, by its number
        said = {"profile": self.plan.name, "url": self.gateway_url, "pid": process.pid}
        facts = plan_facts.of(self.plan).as_text()
        (self.root / "toy.json").write_text(json.dumps(said | {"facts": facts}), encoding="utf-8")

    def api_key(self) -> str:
        return "none"

    def log_tail(self, lines: int) -> list[str]:
        return (self.root / "toy.log").read_text(encoding="utf-8").splitlines()[-lines:]

    def failure(self) -> str | None:
        return None

    def stop(self, say: Say) -> None:
        for one in _toys(self.root):
            one.stop(say)


class ToyRunning(RunningDeployment):
    runtime = "toy"

    def __init__(self, root: Path) -> None:
        said = json.loads((root / "toy.json").read_text(encoding="utf-8"))
        self.root, self.profile, self.gateway_url, self._pid = root, said["profile"], said["url"], said["pid"]
        self.facts = plan_facts.read(said["facts"])

    def gateway_metrics(self) -> str:
        return ""

    def engine_metrics(self) -> str:
        return http.metrics(self.gateway_url)

    def engine_log(self, lines: int) -> list[str]:
        return (self.root / "toy.log").read_text(encoding="utf-8").splitlines()[-lines:]

    def show_logs(self, lines: int, following: bool, write: Callable[[str], object]) -> int:
        write("".join(f"toy | {line}\n" for line in ["wound up", *self.engine_log(lines)]))
        return 0

    def run_gateway_module(self, module: str, words: Sequence[str], given: str = "") -> int:
        return len(words)

    def stop(self, say: Say, *, volumes: bool = False) -> None:
        say("letting the toy run down")
        psutil.Process(self._pid).kill()
        psutil.wait_procs([psutil.Process(self._pid)], 10)
        (self.root / "toy.json").unlink()


def _toys(root: Path) -> list[ToyRunning]:
    return [ToyRunning(root)] if (root / "toy.json").exists() else []


class ToyRuntime(Runtime):
    name, about = "toy", "toys"

    def deployment(self, root: Path, plan: Plan, ports: Ports) -> ToyDeployment:
        return ToyDeployment(root, plan, ports)

    def running(self, root: Path) -> list[ToyRunning]:
        return _toys(root)

    def files(self, root: Path, plan: Plan) -> dict[str, str]:
        there = templates.Addresses("", 0, None, "", "", "", "", 0, {}, "")
        return {"toy/toy.yaml": templates.text(root, "toy/toy.yaml", plan, there)}

    def examine(self, root: Path, plan: Plan, ports: Ports, held: Held) -> list[CheckResult]:
        return [ok("spring", "it can be wound up")]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A checkout that the command line works on, with the toy as third runtime."""
    for name in ("profiles", "templates", "rendered"):
        shutil.copytree(REPOSITORY / name, tmp_path / name)
    shutil.copy(REPOSITORY / "compose.yaml", tmp_path)
    (tmp_path / "templates" / "toy").mkdir()
    (tmp_path / "templates" / "toy" / "toy.yaml.j2").write_text(TEMPLATE, encoding="utf-8")
    monkeypatch.setattr(commands, "ROOT", tmp_path)
    monkeypatch.setattr(registry, "RUNTIMES", (*registry.RUNTIMES, ToyRuntime()))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-docker.sock")
    yield tmp_path
    gc.collect()  # while the mark above still holds


def test_a_third_runtime_goes_through_every_command(
    root: Path, capsys: pytest.CaptureFixture[str], free_port: Callable[[], int]
) -> None:
    def run(*words: str) -> tuple[int, str]:
        code = commands.main(list(words))
        said = capsys.readouterr()
        return code, said.out + said.err

    assert run("plan", "cpu-tiny")[0] == 0
    assert run("render", "cpu-tiny")[0] == 0
    written = yaml.safe_load((root / "rendered/cpu-tiny/toy/toy.yaml").read_text(encoding="utf-8"))
    assert written == {"kind": "Toy", "name": "cpu-tiny", "model": "tiny"}
    assert run("check", "cpu-tiny")[0] == 0, "what it has rendered is no orphan and not stale"
    doctor = run("doctor", "cpu-tiny", "--runtime", "toy")[1]
    assert "it can be wound up" in doctor and "profiles run as toys" in doctor

    code, said = run("up", "cpu-tiny", "--runtime", "toy", "--gateway-port", str(free_port()), "--timeout", "60")
    assert code == 0 and "winding up the toy" in said and "anybody may ask" in said
    try:
        assert run("up", "cpu-tiny", "--runtime", "toy")[0] == HostError.exit_code
        code, said = run("status", "--json")
        (found,) = json.loads(said)
        assert (code, found["profile"], found["runtime"], found["healthy"]) == (0, "cpu-tiny", "toy", True)
        assert found["kv_tokens_planned"] == 524_288
        assert run("logs", "cpu-tiny")[1].startswith("toy | wound up\n")
        code, said = run("top", "--once", "--json", "--interval", "0.2")
        assert (code, json.loads(said)["runtime"]) == (0, "toy")
        assert run("keys", "list", "--limits")[0] == 2, "its own way into the gateway: it counts the words"
    finally:
        code, said = run("down", "cpu-tiny")
    assert code == 0 and "letting the toy run down" in said
    assert run("status") == (StateError.exit_code, "nothing is running\n")


@pytest.mark.usefixtures("root")
def test_what_is_not_there_is_refused_with_what_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        commands.main(["up", "cpu-tiny", "--runtime", "swarm"])
    assert "'auto', 'compose', 'process', 'toy'" in capsys.readouterr().err
    with pytest.raises(UsageError, match=r"no such runtime \(did you mean toy\?\); there are: compose, process, toy"):
        registry.of("toys")


@pytest.mark.parametrize(("docker", "taken"), [(None, "compose"), ("Docker is not installed", "process")])
@pytest.mark.usefixtures("root")
def test_auto_never_takes_a_further_one(monkeypatch: pytest.MonkeyPatch, docker: str | None, taken: str) -> None:
    monkeypatch.setattr(host, "docker", lambda: host.Docker(docker))
    assert registry.choose("auto").name == taken
    assert registry.choose("toy").name == "toy"
