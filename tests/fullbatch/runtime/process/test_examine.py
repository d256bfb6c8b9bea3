from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fullbatch.core import host
from fullbatch.planning.plan import Plan
from fullbatch.runtime import requirements
from fullbatch.runtime.process import examine

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
    found = examine.installed(tmp_path, plan_of("cpu"))
    assert (found.severity, found.fix) == ("fail", "scripts/install-engine")
    found = examine.installed(tmp_path, plan_of(LLAMA))
    assert (found.severity, found.fix) == ("fail", "pip install vllm==0.32.0 in this environment")


@pytest.mark.parametrize(
    ("version", "severity"), [("0.32.0+cpu", "ok"), ("0.32.0", "ok"), ("0.31.1", "fail"), (None, "warn")]
)
def test_its_version_is_the_pinned_one(version: str | None, severity: str, plan_of: PlanOf, tmp_path: Path) -> None:
    _engine(tmp_path / ".fullbatch" / "engine", version)
    assert examine.installed(tmp_path, plan_of("cpu")).severity == severity


def test_the_engine_on_the_path(plan_of: PlanOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = _engine(tmp_path / "usr", "0.30.0", "local/lib/python3.12/dist-packages")
    monkeypatch.setenv("PATH", str(program.parent))
    found = examine.installed(tmp_path, plan_of(LLAMA))
    assert found.severity == "fail"
    assert found.finding == f"vLLM 0.30.0 at {program}, the plan is made for 0.32.0"


def test_disk_for_weights(plan_of: PlanOf, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(host, "free_disk_gib", lambda _path: 1.0)
    (disk,) = examine.weights(plan_of("cpu").engines[0], tmp_path)
    assert (disk.severity, "set HF_HOME" in disk.fix) == ("fail", True)
    assert examine.weights(plan_of("cpu-tiny").engines[0], tmp_path) == []
    (tmp_path / "hf" / "hub" / "models--Qwen--Qwen2.5-0.5B-Instruct").mkdir(parents=True)
    (there,) = examine.weights(plan_of("cpu").engines[0], tmp_path)
    assert (there.check, there.severity) == ("weights", "ok")


def test_shared_memory(plan_of: PlanOf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "free_disk_gib", lambda path: 0.0625 if path == requirements.SHARED_MEMORY else 100.0)
    found = examine.shared_memory(plan_of("cpu"))
    assert (found.severity, found.fix) == ("fail", "start this container with --shm-size=1g")
    assert examine.shared_memory(plan_of("rtx4090-qwen2.5-7b")).severity == "ok"


def test_open_files(plan_of: PlanOf) -> None:
    plan = plan_of("cpu")
    need = 2 * plan.limits.max_in_flight + examine.FILES_BESIDE
    assert examine.open_files(plan, need).severity == "ok"
    assert examine.open_files(plan, -1).severity == "ok"
    found = examine.open_files(plan, need - 1)
    assert (found.severity, found.fix.startswith("ulimit -n 65536")) == ("fail", True)


def test_compiler_and_headers(programs: Callable[[str, str], None], tmp_path: Path) -> None:
    assert examine.compiler(Path(sys.executable)).finding == "no C++ compiler"
    programs("g++", "exit 0")
    engine = tmp_path / "python"
    engine.write_text(f"#!/bin/sh\necho {tmp_path}/include\n", encoding="utf-8")
    engine.chmod(0o755)
    found = examine.compiler(engine)
    assert (found.severity, f"no {tmp_path}/include/Python.h" in found.finding) == ("fail", True)
    assert "python3-dev" in found.fix
    (tmp_path / "include").mkdir()
    (tmp_path / "include" / "Python.h").write_text("", encoding="utf-8")
    assert examine.compiler(engine).severity == "ok"
    # Without an engine its headers are nobody's concern yet: that it is missing is told elsewhere.
    assert examine.compiler(tmp_path / "absent").severity == "ok"
