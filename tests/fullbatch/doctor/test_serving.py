from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from fullbatch.core import host
from fullbatch.doctor import serving
from fullbatch.planning.plan import Plan
from fullbatch.runtime.process.deployment import Ports

PlanOf = Callable[[str], Plan]
LLAMA = "rtx4090-llama3.1-8b"


@pytest.fixture(autouse=True)
def no_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.delenv("HF_TOKEN_PATH", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setattr(host, "free_disk_gib", lambda _path: 1000.0)


def _engine(folder: Path, version: str | None, packages: str = "lib/python3.11/site-packages") -> Path:
    program = folder / "bin" / "vllm"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o755)
    if version:
        (folder / packages / f"vllm-{version}.dist-info").mkdir(parents=True)
    return program


@pytest.mark.usefixtures("programs")
def test_no_engine(plan_of: PlanOf, tmp_path: Path) -> None:
    found = serving.installed(tmp_path, plan_of("cpu"))
    assert (found.severity, found.fix) == ("fail", "scripts/install-engine")
    found = serving.installed(tmp_path, plan_of(LLAMA))
    assert (found.severity, found.fix) == ("fail", "pip install vllm==0.32.0 in this environment")


@pytest.mark.parametrize(
    ("version", "severity"), [("0.32.0+cpu", "ok"), ("0.32.0", "ok"), ("0.31.1", "fail"), (None, "warn")]
)
def test_its_version_is_the_pinned_one(version: str | None, severity: str, plan_of: PlanOf, tmp_path: Path) -> None:
    _engine(tmp_path / ".fullbatch" / "engine", version)
    assert serving.installed(tmp_path, plan_of("cpu")).severity == severity


def test_the_engine_on_the_path(plan_of: PlanOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = _engine(tmp_path / "usr", "0.30.0", "local/lib/python3.12/dist-packages")
    monkeypatch.setenv("PATH", str(program.parent))
    found = serving.installed(tmp_path, plan_of(LLAMA))
    assert found.severity == "fail"
    assert found.finding == f"vLLM 0.30.0 at {program}, the plan is made for 0.32.0"


def test_a_taken_port_names_its_holder(plan_of: PlanOf, free_port: Callable[[], int]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken, free = server.getsockname()[1], free_port()
        gateway, engine = serving.ports(plan_of("cpu"), "process", Ports(taken, free), serving.Own())
        assert gateway.severity == "fail"
        assert f"{taken} (gateway) is held by process {os.getpid()} " in gateway.finding
        assert gateway.fix == "stop it, or choose another: --gateway-port PORT"
        assert engine.severity == "ok"
        ours, _ = serving.ports(plan_of("cpu"), "process", Ports(taken, free), serving.Own({os.getpid(): "cpu"}))
        assert (ours.severity, ours.fix) == ("warn", "fullbatch down cpu")


def test_the_ports_of_compose(plan_of: PlanOf, free_port: Callable[[], int]) -> None:
    found = serving.ports(plan_of("cpu"), "compose", Ports(gateway=free_port()), serving.Own())
    assert [one.finding.rpartition(" ")[2] for one in found if one.severity == "ok"][:1] == ["gateway"]
    assert len(found) == 3


def test_disk_for_weights(plan_of: PlanOf, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(host, "free_disk_gib", lambda _path: 1.0)
    (disk,) = serving.weights(plan_of("cpu"), "process")
    assert (disk.severity, "set HF_HOME" in disk.fix) == ("fail", True)
    assert serving.weights(plan_of("cpu"), "compose") == []
    assert serving.weights(plan_of("cpu-tiny"), "process") == []
    (tmp_path / "hf" / "hub" / "models--Qwen--Qwen2.5-0.5B-Instruct").mkdir(parents=True)
    (there,) = serving.weights(plan_of("cpu"), "process")
    assert (there.check, there.severity) == ("weights", "ok")


def test_a_gated_model_wants_a_token(plan_of: PlanOf, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (token,) = serving.weights(plan_of(LLAMA), "compose")
    assert token.severity == "fail"
    assert "meta-llama/Llama-3.1-8B-Instruct is gated" in token.finding
    (tmp_path / "hf").mkdir()
    (tmp_path / "hf" / "token").write_text("hf_x", encoding="utf-8")
    assert serving.weights(plan_of(LLAMA), "compose")[0].severity == "ok"
    (tmp_path / "hf" / "token").unlink()
    monkeypatch.setenv("HF_TOKEN", "hf_x")
    assert serving.weights(plan_of(LLAMA), "compose")[0].severity == "ok"
    monkeypatch.setenv("HF_TOKEN", " ")
    assert serving.weights(plan_of(LLAMA), "compose")[0].severity == "fail"


def test_how_the_last_run_ended(plan_of: PlanOf, tmp_path: Path) -> None:
    plan = plan_of("cpu")
    assert serving.last_run(tmp_path, plan) == []
    log = tmp_path / ".fullbatch" / "run" / "cpu" / "engine.log"
    log.parent.mkdir(parents=True)
    log.write_text("(APIServer pid=1) INFO:     Application startup complete.\n", encoding="utf-8")
    assert serving.last_run(tmp_path, plan) == []
    log.write_text("vllm serve: error: unrecognized arguments: --num-scheduler-steps 8\n", encoding="utf-8")
    (found,) = serving.last_run(tmp_path, plan)
    assert found.severity == "warn"
    assert found.finding == "it ended: vLLM 0.32.0 does not know --num-scheduler-steps 8"
    assert "profiles/cpu.yaml" in found.fix


def test_proxies_and_a_mirror_are_told_without_their_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    assert serving.network() == []
    monkeypatch.setenv("https_proxy", "http://me:secret@proxy.corp:3128")
    (proxy,) = serving.network()
    assert (proxy.check, proxy.severity) == ("proxy", "ok")
    assert proxy.finding.startswith("HTTPS_PROXY is http://proxy.corp:3128: downloads go through it")
    assert "secret" not in proxy.finding
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example/")
    assert serving.network()[1].finding == "weights come from https://mirror.example (HF_ENDPOINT)"


def test_the_ports_of_what_runs_in_docker_are_ours(plan_of: PlanOf) -> None:
    """Behind a published port stands a process of Docker's, which nobody shall stop."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        gateway, *_ = serving.ports(plan_of("cpu"), "compose", Ports(taken), serving.Own({}, {taken: "cpu"}))
    assert (gateway.severity, gateway.fix) == ("warn", "fullbatch down cpu")
    assert gateway.finding == f"{taken} (gateway) is held by your running profile 'cpu'"
