"""Whether the Swarm whose manager this shell's `docker` reaches would take a plan: asked before anything starts."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fullbatch.core.check_result import CheckResult, fail, ok, warn
from fullbatch.core.errors import HostError
from fullbatch.planning.plan import Plan
from fullbatch.runtime import exporting
from fullbatch.runtime.base import ExportWishes

KIND = "gpu"
_OLDEST_ENGINE = 25  # of healthcheck.start_interval
_TIMEOUT = 20.0


@dataclass(frozen=True)
class Node:
    """One machine. `takes`: whether it is there and may be given work; `cards`: generic resources of kind gpu."""

    name: str
    takes: bool
    engine: str
    cards: int


@dataclass(frozen=True)
class Swarm:
    """What a manager says."""

    nodes: tuple[Node, ...]
    secrets: frozenset[str]


def check(plan: Plan, wishes: ExportWishes) -> list[CheckResult]:
    """HostError when no manager answers."""
    return judge(read(), plan, wishes)


def judge(swarm: Swarm, plan: Plan, wishes: ExportWishes) -> list[CheckResult]:
    """What of `plan` the machines would not take."""
    there = [node for node in swarm.nodes if node.takes]
    return [
        _machines(swarm, there),
        *_engines(there),
        *_cards(there, plan),
        *_spare(there, wishes),
        *_secrets(swarm, plan),
    ]


def _machines(swarm: Swarm, there: Sequence[Node]) -> CheckResult:
    away = [node.name for node in swarm.nodes if not node.takes]
    said = f"{len(there)} of {len(swarm.nodes)} machines take work"
    if not away:
        return ok("machines", said)
    return warn(
        "machines", f"{said}; not {', '.join(away)}", "docker node ls; docker node update --availability active NODE"
    )


def _engines(there: Sequence[Node]) -> list[CheckResult]:
    old = [f"{node.name} ({node.engine})" for node in there if int(node.engine.partition(".")[0] or 0) < _OLDEST_ENGINE]
    if not old:
        return []
    return [fail("engines", f"Docker Engine older than {_OLDEST_ENGINE}: {', '.join(old)}", "upgrade Docker there")]


def _cards(there: Sequence[Node], plan: Plan) -> list[CheckResult]:
    """Each copy needs its cards on one machine."""
    found = []
    left = {node.name: node.cards for node in there}
    if plan.gpus and not any(left.values()):
        fix = f'"node-generic-resources": ["{KIND}=GPU-…"] in /etc/docker/daemon.json of each machine with a card'
        return [fail("cards", f"no machine has said that it has a card ({KIND}); {plan.gpus} are needed", fix)]
    for group in sorted(exporting.groups(plan), key=lambda one: -one.engine.gpus):
        need = group.engine.gpus
        placed = 0
        while need and placed < group.copies and max(left.values(), default=0) >= need:
            most = max(left, key=lambda name: left[name])
            left[most] -= need
            placed += 1
        if need and placed < group.copies:
            said = f"{placed} of {group.copies} copies of {group.engine.service} find {need} card(s) on one machine"
            found.append(fail("cards", said, "fewer replicas in the profile, or more machines with cards"))
    if found or not plan.gpus:
        return found
    spare = sum(left.values())
    said = f"{plan.gpus} cards are there, {spare} more"
    if spare:
        return [ok("cards", said)]
    return [warn("cards", f"{said}: when a machine goes, its copy waits for it", "a machine with a spare card")]


def _spare(there: Sequence[Node], wishes: ExportWishes) -> list[CheckResult]:
    if wishes.publish is None or len(there) > 1:
        return []
    said = f"one machine, and the gateway's port {wishes.publish} on it: an update that starts first waits for ever"
    fix = "docker service update --update-order stop-first fullbatch_gateway, or a second machine"
    return [warn("gateway", said, fix)]


def _secrets(swarm: Swarm, plan: Plan) -> list[CheckResult]:
    wanted = ["fullbatch_api_keys", "fullbatch_grafana_password"]
    wanted += ["fullbatch_hf_token"] if any(engine.gated for engine in plan.engines) else []
    return [
        fail("secrets", f"{name} is not there", f"docker secret create {name} FILE")
        for name in wanted
        if name not in swarm.secrets
    ] or [ok("secrets", ", ".join(wanted))]


def read() -> Swarm:
    """Asks `docker`; HostError where it is not there, or no manager of a Swarm."""
    state = json.loads(_docker("info", "--format", "{{json .Swarm}}"))
    if state.get("LocalNodeState") != "active" or not state.get("ControlAvailable"):
        raise HostError("docker: this is no manager of a Swarm; on a manager, or: docker swarm init")
    ids = _docker("node", "ls", "--quiet").split()
    nodes = json.loads(_docker("node", "inspect", *ids))
    return Swarm(tuple(map(node, nodes)), frozenset(_docker("secret", "ls", "--format", "{{.Name}}").split()))


def node(said: dict[str, Any]) -> Node:
    """A machine out of `docker node inspect`."""
    description = said["Description"]
    offered = (description.get("Resources") or {}).get("GenericResources") or []
    takes = said["Status"]["State"] == "ready" and said["Spec"]["Availability"] == "active"
    return Node(description["Hostname"], takes, description["Engine"]["EngineVersion"], sum(map(_of_kind, offered)))


def _of_kind(resource: dict[str, Any]) -> int:
    named, counted = resource.get("NamedResourceSpec") or {}, resource.get("DiscreteResourceSpec") or {}
    if counted.get("Kind") == KIND:
        return int(counted.get("Value", 0))
    return int(named.get("Kind") == KIND)


def _docker(*words: str) -> str:
    try:
        answer = subprocess.run(
            ["docker", *words], capture_output=True, text=True, timeout=_TIMEOUT, check=False
        )  # fmt: skip
    except FileNotFoundError as error:
        raise HostError("docker: not installed here; run this on a manager of the Swarm") from error
    except subprocess.TimeoutExpired as error:
        raise HostError(f"docker {words[0]}: no answer after {_TIMEOUT:.0f} s") from error
    if answer.returncode:
        last = (answer.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise HostError(f"docker {words[0]}: {last}")
    return answer.stdout
