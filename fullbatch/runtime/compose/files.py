"""The files of `rendered/PROFILE/` that Compose reads, and addresses inside its network."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fullbatch.planning import kv_offload, plan_facts
from fullbatch.planning.engine_plan import EnginePlan
from fullbatch.planning.plan import Plan
from fullbatch.runtime import containers, launcher_file, templates
from fullbatch.runtime.containers import ENGINE_PORT, MODELS, STOP_MARGIN_SECONDS
from fullbatch.runtime.templates import Addresses

# The volume that launchers and gateway share.
LAUNCHERS = "/run/launcher"
# Where compose.yaml shows the gateway the folder of reports.
REPORTS = "/reports"
# Where the service `tls` listens.
TLS_PORT = 8443
CHAT_TLS_PORT = 8444
FILES = ("compose.yaml", "gateway.yaml", "prometheus.yaml", "Caddyfile")
# The same whatever runs the plan, but for addresses.
_OF_ALL = ("gateway.yaml", "prometheus.yaml")
# The name compose.yaml gives the first of several machines, for those inside the Compose network.
FIRST_NODE = "node-0"


@dataclass(frozen=True)
class Launcher:
    """Of the models that take turns on some cards. `folders`: of this machine that their models and adapters lie in."""

    service: str
    file: str
    folder: str
    socket: str
    folders: tuple[str, ...]


def addresses(plan: Plan) -> Addresses:
    """Inside the Compose network each engine is reached by its service name."""
    urls = {engine.service: f"http://{_host(engine)}:{port}" for engine, port in _with_ports(plan)}
    launchers = {card: _socket(card) for card in plan.turning}
    return dataclasses.replace(containers.addresses(urls), launchers=launchers, reports=REPORTS)


def _host(engine: EnginePlan) -> str:
    if engine.turn:
        return launcher_file.service(engine.turn.card)
    return engine.service if engine.nodes == 1 else FIRST_NODE


def _with_ports(plan: Plan) -> list[tuple[EnginePlan, int]]:
    """Each engine and its port: those that take turns share a container and have one each."""
    turning = [(one, ENGINE_PORT + n) for group in plan.turning.values() for n, one in enumerate(group)]
    return [*((engine, ENGINE_PORT) for engine in plan.always), *turning]


def _socket(card: str) -> str:
    return f"{LAUNCHERS}/{card}.sock"


def files(root: Path, plan: Plan) -> dict[str, str]:
    """What `rendered/<profile>/` holds: file name -> text."""
    found = {name: _text(root, name, plan, 0) for name in FILES}
    for rank in range(1, plan.engines[0].nodes):
        found[f"node-{rank}.yaml"] = _text(root, "node.yaml", plan, rank)
    for card, engines in plan.turning.items():
        found[f"launcher-{card}.json"] = _launcher_file(plan, card, engines)
    return found


def _launcher_file(plan: Plan, card: str, engines: Sequence[EnginePlan]) -> str:
    here, ports = addresses(plan), {engine.service: port for engine, port in _with_ports(plan)}
    launched = [
        launcher_file.Launched(
            engine,
            ["vllm", "serve", *engine.command(here.model_path(engine), here.engine_host, port, here.hub)],
            {"host": "127.0.0.1", "port": port},
            dict(engine.environment),
        )
        for engine, port in ((engine, ports[engine.service]) for engine in engines)
    ]
    # The container sees its own cards only. Beside an engine that is always there the card is never empty.
    more = {} if _before(plan)[engines[0].service] else launcher_file.memory(engines, None)
    return launcher_file.text(card, _socket(card), launched, plan.drain_seconds, more)


def _launchers(plan: Plan) -> dict[str, Launcher]:
    return {
        card: Launcher(
            launcher_file.service(card),
            f"launcher-{card}.json",
            LAUNCHERS,
            _socket(card),
            tuple(dict.fromkeys(path for engine in engines for path in engine.folders)),
        )
        for card, engines in plan.turning.items()
    }


def _before(plan: Plan) -> dict[str, str]:
    """By engine: the one on the same cards that has to answer before it starts, empty for the first."""
    found, last = {}, dict[tuple[int, ...], str]()
    for engine in (*plan.always, *(one for group in plan.turning.values() for one in group)):
        # On the processor nobody's memory is measured.
        found[engine.service] = last.get(engine.card_ids, "") if plan.parts and engine.gpus else ""
        if not engine.turn:
            last[engine.card_ids] = engine.service
    return found


def _text(root: Path, name: str, plan: Plan, rank: int) -> str:
    """One file, of machine `rank`."""
    here = addresses(plan)
    template = name if name in _OF_ALL else f"compose/{name}"
    first = {part.engines[0].service: part.engines[0] for part in plan.models}
    more = {
        "rank": rank,
        "tls_port": TLS_PORT,
        "chat_tls_port": CHAT_TLS_PORT,
        "kv_folder": kv_offload.FOLDER,
        "fetched": {service: _fetched(engine) for service, engine in first.items()},
        # Of several models each has a one-shot of its own; copies of one model share it.
        "fetching": {
            engine.service: f"model{engine.service.removeprefix('engine')}" if plan.parts else "model"
            for engine in plan.engines
        },
        "before": _before(plan),
        "launchers": _launchers(plan),
        "ports": {engine.service: port for engine, port in _with_ports(plan)},
        "facts": plan_facts.of(plan).as_text(),
        "commands": {engine.service: _command(engine, here) for engine in plan.always},
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
