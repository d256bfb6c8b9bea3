"""Limits of this machine, from files of the test's own in place of /proc and /sys."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fullbatch.core import host
from fullbatch.doctor import system
from fullbatch.planning import profile
from fullbatch.planning.plan import Plan, make

PlanOf = Callable[[str], Plan]
GIB = 2**30


def _write(base: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (base / name).parent.mkdir(parents=True, exist_ok=True)
        (base / name).write_text(text, encoding="utf-8")
    return base


def test_python() -> None:
    assert system.python().severity == "ok"
    assert system.python((3, 10, 12)).severity == "fail"
    assert system.python((3, 11, 0)).severity == "ok"


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({}, None),
        ({"sys/fs/cgroup/memory.max": "max\n"}, None),
        ({"sys/fs/cgroup/memory.max": f"{3 * GIB}\n", "proc/self/cgroup": "0::/\n"}, 3.0),
        (
            {
                "proc/self/cgroup": "0::/user.slice/job.scope\n",
                "sys/fs/cgroup/user.slice/job.scope/memory.max": "max\n",
                "sys/fs/cgroup/user.slice/memory.max": f"{2 * GIB}\n",
            },
            2.0,
        ),
        ({"sys/fs/cgroup/memory/memory.limit_in_bytes": f"{5 * GIB}\n"}, 5.0),
        ({"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, None),
    ],
)
def test_memory_limits_of_both_kinds_of_control_group(
    files: dict[str, str], limit: float | None, tmp_path: Path
) -> None:
    assert system.memory_limit(_write(tmp_path, files)) == limit


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({}, None),
        ({"sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
        ({"sys/fs/cgroup/cpu.max": "150000 100000\n"}, 1.5),
        ({"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "200000\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"}, 2.0),
    ],
)
def test_processor_limits(files: dict[str, str], limit: float | None, tmp_path: Path) -> None:
    assert system.cpu_limit(_write(tmp_path, files)) == limit


def test_memory_against_a_plan(plan_of: PlanOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "available_memory_gib", lambda: 16.0)
    plan = plan_of("cpu")
    assert system.memory(plan, tmp_path).severity == "ok"
    limited = _write(tmp_path, {"sys/fs/cgroup/memory.max": str(2 * GIB)})
    found = system.memory(plan, limited)
    assert found.severity == "fail"
    assert "this container may use 2.0 GiB; cpu needs 4.4 GiB" in found.finding
    assert "docker run --memory" in found.fix
    assert system.memory(None, limited).severity == "ok"
    assert system.memory(plan_of("rtx4090-qwen2.5-7b"), limited).severity == "ok"


def test_memory_that_others_hold(plan_of: PlanOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "available_memory_gib", lambda: 1.5)
    found = system.memory(plan_of("cpu"), tmp_path)
    assert (found.severity, "lower hardware.cpu.kv_cache_gib in profiles/cpu.yaml" in found.fix) == ("fail", True)


def test_memory_for_kv_cache_beyond_the_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "available_memory_gib", lambda: 16.0)
    data = {"description": "d", "model": "Qwen/Qwen3-8B", "hardware": {"gpu": "rtx4090"}}
    found = [
        system.memory(make("x", profile.parse(data | {"kv_offload": {"ram_gib": gib}}, "x")), tmp_path)
        for gib in (16, 17)
    ]
    assert [one.severity for one in found] == ["ok", "fail"]
    assert "or lower kv_offload.ram_gib in profiles/x.yaml" in found[1].fix


def test_cores(plan_of: PlanOf, tmp_path: Path) -> None:
    assert system.cores(None, 8, tmp_path).finding == "8 cores"
    assert system.cores(plan_of("rtx4090-qwen2.5-7b"), 2, tmp_path).severity == "warn"
    limited = _write(tmp_path, {"sys/fs/cgroup/cpu.max": "100000 100000"})
    found = system.cores(plan_of("cpu"), 8, limited)
    assert (found.severity, found.finding) == (
        "warn",
        "1 cores (limited by the control group); the engine runs well from 2",
    )


@pytest.mark.parametrize(
    ("flags", "severity", "said"),
    [("fpu avx avx2 avx512f", "ok", "AVX-512"), ("fpu avx avx2", "ok", "would be faster"), ("fpu avx", "fail", "no")],
)
def test_instructions(flags: str, severity: str, said: str, tmp_path: Path) -> None:
    base = _write(tmp_path, {"proc/cpuinfo": f"processor\t: 0\nflags\t\t: {flags}\n"})
    found = system.instructions(base, "x86_64")
    assert found.severity == severity
    assert said in found.finding
    assert system.instructions(base, "aarch64").severity == "fail"


def test_windows(tmp_path: Path) -> None:
    linux = _write(tmp_path / "l", {"proc/version": "Linux version 6.8.0-45-generic (buildd@lcy02) (gcc 13)\n"})
    assert system.windows(Path("/mnt/c/x"), linux) == []
    wsl = _write(tmp_path / "w", {"proc/version": "Linux version 5.15.153.1-microsoft-standard-WSL2 (root@x)\n"})
    (found,) = system.windows(Path("/home/me/fullbatch"), wsl)
    assert (found.severity, "WSL2" in found.finding) == ("ok", True)
    (slow,) = system.windows(Path("/mnt/c/fullbatch"), wsl)
    assert (slow.severity, "/mnt/c/fullbatch lies on a Windows disk" in slow.finding) == ("warn", True)
