"""Whether this machine can run a profile: what was found, how bad it is, what to do."""

from __future__ import annotations

import os
import resource
from pathlib import Path

from fullbatch.core import host
from fullbatch.core.check_result import CheckResult, ok, warn
from fullbatch.doctor import cards, nvidia, serving, system
from fullbatch.planning.plan import Plan
from fullbatch.runtime.compose import deployment as compose
from fullbatch.runtime.compose import docker_info
from fullbatch.runtime.process import state
from fullbatch.runtime.process.deployment import Ports


def runtime_of(asked: str, docker: host.Docker) -> str:
    """The runtime `up` would take: compose where Docker answers, else process."""
    if asked != "auto":
        return asked
    return "process" if docker.problem else "compose"


def examine(root: Path, plan: Plan | None, asked: str, ports: Ports) -> tuple[str, list[CheckResult]]:
    """The runtime that was judged, and every check for `plan`; without one only what holds for any."""
    docker = host.docker()
    runtime = runtime_of(asked, docker)
    found = [system.python(), *_docker(docker, runtime, plan), *system.windows(root)]
    found += [system.memory(plan), system.cores(plan, len(os.sched_getaffinity(0)))]
    found += _cards(root, plan)
    if plan is not None:
        found += _plan(root, plan, runtime, ports)
    return runtime, found


def _docker(docker: host.Docker, runtime: str, plan: Plan | None) -> list[CheckResult]:
    if runtime == "compose" or not docker.problem:
        return docker_info.judge(docker, None if docker.problem else docker_info.read(), plan)
    finding, _, fix = docker.problem.partition("; ")
    return [warn("docker", f"{finding}; profiles run as plain processes", fix.partition(", or use")[0])]


def _cards(root: Path, plan: Plan | None) -> list[CheckResult]:
    if plan is not None and not plan.engines[0].gpus:
        return []
    seen = nvidia.read()
    if plan is not None:
        return cards.judge(seen, plan, own_processes(root))
    if seen.problem:
        return [warn("driver", f"{seen.problem}; only cpu profiles run", seen.fix)]
    return [ok("card", f"{one.index}: {one.name}, driver {one.driver}") for one in seen.cards]


def _plan(root: Path, plan: Plan, runtime: str, ports: Ports) -> list[CheckResult]:
    engine = plan.engines[0]
    found = [system.instructions()] if engine.device == "cpu" else []
    if runtime == "process":
        found.append(serving.installed(root, plan))
        if engine.device == "cpu":
            found.append(system.compiler(root / ".fullbatch" / "engine" / "bin" / "python"))
        found.append(system.shared_memory(engine))
        found.append(system.open_files(plan, resource.getrlimit(resource.RLIMIT_NOFILE)[0]))
    found += [*serving.network(), *serving.weights(plan, runtime)]
    found += serving.ports(plan, runtime, ports, serving.Own(own_processes(root), compose.published_ports()))
    return found + serving.last_run(root, plan)


def own_processes(root: Path) -> dict[int, str]:
    """Each live process that we started, by pid, with the profile it belongs to."""
    return {
        process.pid: one.profile
        for one in state.running(root)
        for started in one.processes
        for process in started.session()
    }
