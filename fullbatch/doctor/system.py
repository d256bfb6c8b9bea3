"""Memory, shared memory, limits, processor and compiler of this machine, judged against a plan.

`base` stands for `/` where a test has files of its own.
"""

from __future__ import annotations

import math
import platform
import sys
from pathlib import Path

from fullbatch.core import host
from fullbatch.core.check_result import CheckResult, fail, ok, warn
from fullbatch.planning.plan import Plan
from fullbatch.runtime import requirements

MINIMUM_PYTHON = (3, 11)
_GIB = 2**30
# "No limit" of cgroup v1 is the largest number of pages.
_NO_LIMIT = 2**60


def python(version: tuple[int, ...] = sys.version_info[:3]) -> CheckResult:
    """The Python that runs this program, the gateway and the load test."""
    said = ".".join(str(part) for part in version)
    if version >= MINIMUM_PYTHON:
        return ok("python", said)
    return fail("python", f"{said}, at least 3.11 is needed", "install Python 3.11 or newer and run scripts/setup")


def memory_limit(base: Path = Path("/")) -> float | None:
    """GiB this process may use by its control group; None without a limit."""
    limits = [_number(path) for path in _cgroup_files(base, "memory.max", "memory/memory.limit_in_bytes")]
    found = [limit for limit in limits if limit is not None and limit < _NO_LIMIT]
    return min(found) / _GIB if found else None


def cpu_limit(base: Path = Path("/")) -> float | None:
    """Cores this process may use by its control group; None without a limit."""
    found = []
    for path in _cgroup_files(base, "cpu.max", "cpu/cpu.cfs_quota_us"):
        words = _text(path).split()
        period = _number(path.with_name("cpu.cfs_period_us")) if len(words) == 1 else None
        if len(words) == 2 and words[0].isdigit():
            found.append(int(words[0]) / int(words[1]))
        elif len(words) == 1 and words[0].isdigit() and period:
            found.append(int(words[0]) / period)
    return min(found) if found else None


def _cgroup_files(base: Path, name: str, name_v1: str) -> list[Path]:
    """The file of our own control group and of each above it, which all hold."""
    mount = base / "sys/fs/cgroup"
    own = next((line[3:] for line in _text(base / "proc/self/cgroup").splitlines() if line.startswith("0::")), "/")
    group = mount / own.strip("/")
    groups = [group, *group.parents]
    inside = [one for one in groups if one == mount or mount in one.parents]
    return [path for path in [*(one / name for one in inside), mount / name_v1] if path.is_file()]


def memory(plan: Plan | None, base: Path = Path("/")) -> CheckResult:
    """Free memory and the control group's limit against what a CPU plan takes, or KV cache beyond the card."""
    limit, free = memory_limit(base), host.available_memory_gib()
    said = f"{free:.1f} GiB free" + (f", this container may use {limit:.1f} GiB" if limit is not None else "")
    need = requirements.memory_gib(plan) if plan else 0.0
    if plan is None or not need:
        return ok("memory", said)
    setting = requirements.memory_setting(plan)
    if limit is not None and limit < need:
        fix = f"give it at least {math.ceil(need)} GiB (docker run --memory), or lower {setting}"
        return fail("memory", f"{said}; {plan.name} needs {need:.1f} GiB", fix)
    if free < need:
        fix = f"end what is not needed, or lower {setting} in profiles/{plan.name}.yaml"
        return fail("memory", f"{said}; {plan.name} needs {need:.1f} GiB", fix)
    return ok("memory", f"{said}; {plan.name} needs {need:.1f} GiB")


def cores(plan: Plan | None, usable: int, base: Path = Path("/")) -> CheckResult:
    """Cores against vLLM's advice of two and one for each card (its docs/configuration/optimization.md)."""
    limit = cpu_limit(base)
    have = min(float(usable), limit) if limit is not None else float(usable)
    said = f"{have:g} cores" + (" (limited by the control group)" if limit is not None and limit < usable else "")
    wanted = 2 + plan.gpus if plan else 2
    if have >= wanted:
        return ok("processor", said)
    return warn("processor", f"{said}; the engine runs well from {wanted}", "give this machine or container more cores")


def instructions(base: Path = Path("/"), machine: str = platform.machine()) -> CheckResult:
    """AVX2, without which the CPU engine does not run (vLLM docs/getting_started/installation/cpu.x86.inc.md)."""
    if machine not in ("x86_64", "AMD64"):
        return fail("instructions", f"{machine}: the pinned CPU engine is for x86-64", "run it on an x86-64 machine")
    flags = next((line.split() for line in _text(base / "proc/cpuinfo").splitlines() if line.startswith("flags")), [])
    if "avx2" not in flags:
        fix = "take a processor of 2013 or newer; in a virtual machine pass the host's through (cpu: host)"
        return fail("instructions", "no AVX2: the CPU engine does not run", fix)
    return ok("instructions", "AVX2 and AVX-512" if "avx512f" in flags else "AVX2 (AVX-512 would be faster)")


def windows(root: Path, base: Path = Path("/")) -> list[CheckResult]:
    """Nothing, unless this is Linux in Windows (WSL2)."""
    if "microsoft" not in _text(base / "proc/version").lower():
        return []
    if root.parts[:2] == ("/", "mnt"):
        fix = "clone the project into your Linux home folder (~) instead"
        return [warn("windows", f"WSL2, and {root} lies on a Windows disk, which is very slow from here", fix)]
    return [ok("windows", "WSL2; the driver is the one of Windows, the memory what .wslconfig gives")]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdigit() else None
