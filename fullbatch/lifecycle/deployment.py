"""Starts, shows and stops a profile, in any runtime."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fullbatch.core import http
from fullbatch.core.errors import EngineError, StateError, UsageError, not_running
from fullbatch.lifecycle import diagnosis, engine_log
from fullbatch.lifecycle.readiness import CAUSE_LINES, until_token
from fullbatch.planning.plan import Plan
from fullbatch.planning.plan_facts import PlanFacts
from fullbatch.runtime import registry
from fullbatch.runtime.base import Awaited, DeadEngine, Deployment, Ports, RunningDeployment, Say

# Between two looks at what runs in the foreground.
STAY_SECONDS = 2.0


@dataclass(frozen=True)
class Options:
    """How to run a plan: `runtime` is a name or auto; seconds until a token must have come back."""

    runtime: str = "auto"
    ports: Ports = Ports()
    timeout: float = 1800.0


def choose(root: Path, plan: Plan, options: Options) -> Deployment:
    """`plan` in the runtime that was asked for, or in the one that this machine has."""
    return registry.choose(options.runtime).deployment(root, plan, options.ports)


def up(deployment: Deployment, plan: Plan, options: Options, say: Say) -> float:
    """Start and wait for a real token; seconds waited. Whatever goes wrong, nothing is left half-started."""
    deployment.preflight()
    try:
        deployment.start(say)
        return wait(deployment, plan, options, say)
    except BaseException:  # Ctrl-C too: a half-started deployment is worth nothing and holds memory and ports
        deployment.stop(say)
        raise


def wait(deployment: Awaited, plan: Plan, options: Options, say: Say) -> float:
    """Wait for the first token of a deployment that was started."""
    return until_token(deployment, plan, say, options.timeout)


def refuse_foreground(root: Path, options: Options) -> None:
    """UsageError where what runs is looked after by somebody else."""
    runtime = registry.choose(options.runtime)
    if runtime.starts_at_boot(root) is not None:
        raise UsageError(f"--foreground: {runtime.about} go on by themselves; leave it out, or add --runtime process")


def stay(deployment: Deployment, say: Say, every: float = STAY_SECONDS) -> None:
    """Until another command stops it. EngineError when something of it has ended by itself: the rest is stopped too."""
    try:
        failure = None
        while failure is None:
            time.sleep(every)
            failure = deployment.failure()
            if deployment.being_stopped():
                return
    except KeyboardInterrupt:  # Ctrl-C, or systemd's SIGTERM
        deployment.stop(say)
        raise
    deployment.stop(say)
    raise EngineError(failure)


def down(root: Path, name: str | None, say: Say, *, volumes: bool = False) -> None:
    """Stop the deployment `name`, or the only one there is.

    It goes by what was written when it started: the profile may be changed, broken or gone. `volumes`: weights, keys
    and history too, also of what has ended and left them.
    """
    found = registry.only(root, name, "fullbatch down PROFILE")
    if found is None and volumes and name is None:
        found = registry.stopped(root, None)
    if found is None:
        raise StateError(f"profile '{name}' is not running" if name else "nothing is running; there is nothing to stop")
    found.stop(say, volumes=volumes)


def run_gateway_module(root: Path, name: str | None, module: str, words: Sequence[str], given: str = "") -> int:
    """Run a program of the gateway's (`gateway.keys`, `gateway.usage`) on the key store of `name`, or of what runs.

    `given`: for its standard input. Returns its exit code. A profile that is stopped may still have its keys and its
    usage.
    """
    if "--help" in words or "-h" in words:  # needs nothing that runs
        return subprocess.run([sys.executable, "-m", module, *words], cwd=root, check=False).returncode
    found = registry.only(root, name, "--profile PROFILE") or (registry.stopped(root, name) if name else None)
    if found is None:
        raise not_running(name)
    return found.run_gateway_module(module, words, given)


def status(root: Path) -> list[dict[str, Any]]:
    """Every running deployment: where it is, whether it answers, KV tokens predicted and reported.

    `failures` holds cause and change for each engine that has died or keeps dying. No profile is read.
    """
    return [_status(one) for one in registry.running(root)]


def _status(one: RunningDeployment) -> dict[str, Any]:
    health = http.get(f"{one.gateway_url}/health")
    answers = health.status == 200
    found = {
        "profile": one.profile,
        "runtime": one.runtime,
        "gateway_url": one.gateway_url,
        "healthy": answers,
        "health": health.json() or health.text,
        "kv_tokens_planned": one.facts.kv_tokens if one.facts else None,
        "kv_tokens_reported": kv_tokens_reported(one.engine_metrics()),
        "failures": failures(one.profile, one.dead_engines(CAUSE_LINES, answers), one.facts),
    }
    parts = one.parts()
    return found | ({"processes": parts} if parts else {})


def failures(name: str, dead: Sequence[DeadEngine], known: PlanFacts | None) -> list[dict[str, str]]:
    """Cause and change for each engine that has died, by the facts of its own model."""
    found = []
    for one in dead:
        named = diagnosis.findings(one.log, known.of_engine(one.service))[:1] if known else []
        cause = named[0].cause if named else engine_log.cause(one.log) or "its log does not say why"
        change = named[0].change if named else f"read its log: fullbatch logs {name}"
        found.append({"engine": one.service, "cause": cause[:400], "change": change})
    return found


def kv_tokens_reported(metrics: str) -> int | None:
    """`kv_cache_size_tokens` of vLLM's `vllm:cache_config_info`, whose facts are label values; of all replicas."""
    found = re.findall(r'^vllm:cache_config_info\{.*\bkv_cache_size_tokens="(\d+)"', metrics, re.MULTILINE)
    return sum(map(int, found)) if found else None
