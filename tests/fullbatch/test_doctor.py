"""The whole examination, and the command, with programs of the test's own on the PATH."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fullbatch import doctor
from fullbatch.cli import commands
from fullbatch.core import host
from fullbatch.core.check_result import CheckResult
from fullbatch.planning.plan import Plan
from fullbatch.runtime.base import Ports
from fullbatch.runtime.compose import docker_info
from tests.fullbatch.doctor.test_nvidia import ANSWERS

# The Docker SDK leaves its socket open when nothing answers.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

Programs = Callable[[str, str], None]
PlanOf = Callable[[str], Plan]
GPU = "rtx4090-qwen2.5-7b"
DOCKER = """case "$*" in
compose*) echo 2.40.0;;
info*json*) echo '{"ServerVersion": "28.5.1", "Runtimes": {"runc": {}}}';;
info*) echo 28.5.1;;
esac"""


@pytest.fixture(autouse=True)
def no_docker(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    yield
    gc.collect()  # while the mark above still holds


@pytest.fixture
def ports(free_port: Callable[[], int]) -> Ports:
    return Ports(free_port(), free_port())


def _by_check(found: list[CheckResult]) -> dict[str, CheckResult]:
    return {one.check: one for one in found}


@pytest.mark.usefixtures("programs")
def test_a_bare_machine_and_no_profile(tmp_path: Path, ports: Ports) -> None:
    runtime, found = doctor.examine(tmp_path, None, "auto", ports)
    checks = _by_check(found)
    assert runtime == "process"
    assert (checks["docker"].severity, checks["driver"].severity) == ("warn", "warn")
    assert "profiles run as plain processes" in checks["docker"].finding
    assert "--runtime" not in checks["docker"].fix


@pytest.mark.usefixtures("programs")
def test_docker_is_needed_where_it_was_asked_for(tmp_path: Path, ports: Ports) -> None:
    runtime, found = doctor.examine(tmp_path, None, "compose", ports)
    assert (runtime, _by_check(found)["docker"].severity) == ("compose", "fail")


@pytest.mark.usefixtures("programs")
def test_a_cpu_profile_as_processes(plan_of: PlanOf, tmp_path: Path, ports: Ports) -> None:
    _, found = doctor.examine(tmp_path, plan_of("cpu-tiny"), "auto", ports)
    checks = _by_check(found)
    assert {"engine", "compiler", "instructions", "shared memory", "open files", "port"} <= set(checks)
    assert "driver" not in checks
    assert checks["engine"].fix == "scripts/install-engine"
    assert checks["compiler"].severity == "fail"


def test_in_compose_the_image_brings_engine_and_compiler(
    programs: Programs, plan_of: PlanOf, tmp_path: Path, ports: Ports
) -> None:
    programs("docker", DOCKER)
    runtime, found = doctor.examine(tmp_path, plan_of("cpu-tiny"), "auto", ports)
    checks = _by_check(found)
    assert runtime == "compose"
    assert checks["docker"].severity == "ok"
    assert not {"engine", "compiler", "shared memory"} & set(checks)


def test_a_gpu_profile_sees_driver_toolkit_and_memory(
    programs: Programs, plan_of: PlanOf, tmp_path: Path, ports: Ports
) -> None:
    programs("docker", DOCKER)
    cards, holders = ANSWERS / "rtx4090-cards-taken.csv", ANSWERS / "rtx4090-holders.csv"
    programs("nvidia-smi", f"case \"$1\" in --query-gpu=*) /bin/cat '{cards}';; *) /bin/cat '{holders}';; esac")
    _, found = doctor.examine(tmp_path, plan_of(GPU), "auto", ports)
    checks = _by_check(found)
    assert [checks[name].severity for name in ("driver", "toolkit", "card", "card memory")] == [
        "fail", "fail", "ok", "fail",
    ]  # fmt: skip


@pytest.mark.usefixtures("programs")
def test_the_command(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    ports: Ports,
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    where = ["--gateway-port", str(ports.gateway), "--engine-port", str(ports.engine)]
    assert commands.main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:2] == ["ok", "python"]
    assert all(line.startswith(("ok ", "warn ", "fail ", " ")) for line in lines)
    assert commands.main(["doctor", GPU, "--json", *where]) == 1
    said = json.loads(capsys.readouterr().out)
    assert (said["profile"], said["runtime"], said["works"]) == (GPU, "process", False)
    assert all(one["fix"] for one in said["checks"] if one["severity"] != "ok")


def test_an_unknown_profile_is_a_mistake_of_the_person(capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(["doctor", "no-such"]) == 2
    assert "no such profile" in capsys.readouterr().err


def test_every_problem_docker_has_comes_with_a_fix(programs: Programs) -> None:
    programs("docker", "echo 'no such command' >&2; exit 1")
    problem = str(host.docker().problem)
    (found,) = docker_info.judge(host.docker(), None, None)
    assert problem.startswith(found.finding)
    assert found.fix
