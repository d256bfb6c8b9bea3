"""Bringing a profile up and down, whichever runtime it runs in, and saying how it is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fullbatch.core import host, http
from fullbatch.core.errors import StateError, UsageError
from fullbatch.lifecycle import diagnosis, engine_log
from fullbatch.lifecycle.readiness import CAUSE_LINES, until_token
from fullbatch.planning.plan import Plan
from fullbatch.planning.plan_facts import PlanFacts
from fullbatch.runtime import Running, Say
from fullbatch.runtime.compose import deployment as compose
from fullbatch.runtime.compose.deployment import ComposeDeployment, running_profile
from fullbatch.runtime.process import deployment as process
from fullbatch.runtime.process import state
from fullbatch.runtime.process.deployment import Ports, ProcessDeployment, tail
from fullbatch.runtime.process.stopping import stop

Deployment = ProcessDeployment | ComposeDeployment


@dataclass(frozen=True)
class Options:
    """How to run a plan: `runtime` is compose, process or auto; seconds until a token must have come back."""

    runtime: str = "auto"
    ports: Ports = Ports()
    timeout: float = 1800.0


def choose(root: Path, plan: Plan, options: Options) -> Deployment:
    """Compose where Docker answers, plain processes elsewhere, or what was asked for."""
    if options.runtime == "process" or (options.runtime == "auto" and host.docker().problem):
        return ProcessDeployment(root, plan, options.ports)
    return ComposeDeployment(root, plan, options.ports.gateway)


def up(deployment: Deployment, plan: Plan, options: Options, say: Say) -> float:
    """Start and wait for a real token; seconds waited. Whatever goes wrong, nothing is left half-started."""
    deployment.preflight()
    try:
        deployment.start(say)
        return wait(deployment, plan, options, say)
    except BaseException:  # Ctrl-C too: a half-started deployment is worth nothing and holds memory and ports
        deployment.stop(say)
        raise


def wait(running: Running, plan: Plan, options: Options, say: Say) -> float:
    """Wait for the first token of a deployment that was started."""
    return until_token(running, plan, say, options.timeout)


def down(root: Path, name: str | None, say: Say, *, volumes: bool = False) -> None:
    """Stop the process deployment `name` (or the only one there is), else the one in Docker.

    It goes by what was written when it started: the profile may be changed, broken or gone. `volumes`: in Docker,
    weights, keys and history too.
    """
    running = _only(root, name, "fullbatch down PROFILE")
    if running and volumes:
        raise UsageError(
            f"--volumes: '{running.profile}' runs as processes and has none; its keys and logs are in "
            f"{state.run_dir(root, running.profile)}"
        )
    if running:
        stop(root, running, say)
        return
    in_docker = running_profile()
    if in_docker and name in (None, in_docker):
        compose.down(root, say, volumes=volumes)
        return
    if volumes and name is None and compose.containers():  # nothing runs any more, and something is left
        compose.down(root, say, volumes=True)
        return
    raise StateError(f"profile '{name}' is not running" if name else "nothing is running")


def gateway_program(root: Path, name: str | None, module: str, words: Sequence[str]) -> int:
    """Run a program of the gateway's (`gateway.keys`, `gateway.usage`) on the key store of `name`, or of what runs.

    Returns its exit code. A profile that ran as processes and is stopped still has its keys and its usage.
    """
    if "--help" in words or "-h" in words:  # needs nothing that runs
        return process.gateway_program(root, name or "none", module, words)
    running = _only(root, name, "--profile PROFILE")
    if running:
        return process.gateway_program(root, running.profile, module, words)
    in_docker = running_profile()
    if in_docker and name in (None, in_docker):
        return compose.gateway_program(root, module, words)
    if name and state.store_of(root, name).exists():
        return process.gateway_program(root, name, module, words)
    raise StateError(f"profile '{name}' is not running" if name else "nothing is running; start it, or say --profile")


def _only(root: Path, name: str | None, how: str) -> state.ProcessRun | None:
    """The process deployment `name`, or the only one there is; None when there is none."""
    running = [one for one in state.running(root) if name in (None, one.profile)]
    if len(running) > 1:
        listing = ", ".join(one.profile for one in running)
        raise StateError(f"several profiles are running ({listing}); say which: {how}")
    return running[0] if running else None


def status(root: Path) -> list[dict[str, Any]]:
    """Every running deployment: where it is, whether it answers, KV tokens predicted and reported.

    `failures` holds cause and change for each engine that has died or keeps dying. No profile is read.
    """
    found = []
    for one in state.running(root):
        found.append(_status(one.profile, "process", one.gateway_url, one.facts))
        metrics = "".join(http.get(f"{url}/metrics").text for url in one.engine_urls.values())
        found[-1]["kv_tokens_reported"] = kv_tokens_reported(metrics)
        found[-1]["processes"] = {started.name: started.pid for started in one.alive()}
        dead = [started for started in one.processes if started.name in one.engine_urls and not started.process()]
        logs = [tail(Path(started.log), CAUSE_LINES) for started in dead]
        found[-1]["failures"] = failures(one.profile, logs, one.facts)
    in_docker = running_profile()
    if in_docker:
        url = compose.published_gateway() or f"http://127.0.0.1:{Ports().gateway}"
        known = compose.running_facts()
        found.append(_status(in_docker, "compose", url, known))
        found[-1]["kv_tokens_reported"] = kv_tokens_reported(compose.engine_metrics())
        logs = [] if found[-1]["healthy"] else _dying_containers()
        found[-1]["failures"] = failures(in_docker, logs, known)
    return found


def _dying_containers() -> list[list[str]]:
    """The log of each engine container that has died and was started again."""
    return [
        container.logs(tail=CAUSE_LINES).decode("utf-8", "replace").splitlines()
        for container in compose.engine_containers()
        if container.attrs.get("RestartCount", 0) > 0
    ]


def failures(name: str, logs: list[list[str]], known: PlanFacts | None) -> list[dict[str, str]]:
    """Cause and change for each log of an engine that has died."""
    found = []
    for log in logs:
        named = diagnosis.findings(log, known)[:1] if known else []
        cause = named[0].cause if named else engine_log.cause(log) or "its log does not say why"
        change = named[0].change if named else f"read its log: fullbatch logs {name}"
        found.append({"cause": cause[:400], "change": change})
    return found


def _status(name: str, runtime: str, url: str, known: PlanFacts | None) -> dict[str, Any]:
    health = http.get(f"{url}/health")
    return {
        "profile": name,
        "runtime": runtime,
        "gateway_url": url,
        "healthy": health.status == 200,
        "health": health.json() or health.text,
        "kv_tokens_planned": known.kv_tokens if known else None,
    }


def kv_tokens_reported(metrics: str) -> int | None:
    """`kv_cache_size_tokens` of vLLM's `vllm:cache_config_info`, whose facts are label values; of all replicas."""
    found = re.findall(r'^vllm:cache_config_info\{.*\bkv_cache_size_tokens="(\d+)"', metrics, re.MULTILINE)
    return sum(map(int, found)) if found else None
