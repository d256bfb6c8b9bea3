"""A plan as a stack of Docker Swarm. docs/swarm.md says what Swarm ignores or changes of Compose, and what stands there
instead."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from fullbatch.core.check_result import CheckResult
from fullbatch.planning import plan_facts
from fullbatch.planning.engine_plan import EnginePlan
from fullbatch.planning.plan import Plan
from fullbatch.runtime import exporting, templates
from fullbatch.runtime.base import ExportTarget, ExportWishes
from fullbatch.runtime.containers import ENGINE_PORT, METRICS_PORT, STOP_MARGIN_SECONDS
from fullbatch.runtime.swarm import live

# Swarm's own limit on a configuration's name is 64 characters.
_MOST_OF_A_NAME = 40
_GRAFANA = Path("grafana/provisioning")
_DASHBOARDS = Path("grafana/generated")
_RULES = Path("prometheus/rules")


@dataclass(frozen=True)
class Config:
    """A file as Swarm keeps it: it cannot be changed, so its name has a digest. `key`: its name in the stack file."""

    key: str
    path: str
    target: str
    text: str
    name: str


class SwarmTarget(ExportTarget):
    """`docker stack deploy` starts what is written."""

    name, about = "swarm", "a stack of Docker Swarm"
    next_step = "docker stack deploy --compose-file stack.yaml fullbatch"

    def refusals(self, plan: Plan, wishes: ExportWishes) -> list[str]:  # noqa: ARG002
        found = exporting.refusals(plan, "Swarm")
        if any(engine.nodes > 1 for engine in plan.engines):
            found.append(
                "hardware.nodes: one copy over several machines needs the machines' own network, which a Swarm service "
                "does not get; start it with Compose on each (docs/operating.md), or one copy on each with replicas"
            )
        return found

    def notes(self, plan: Plan, wishes: ExportWishes) -> list[str]:
        found = [
            "no-new-privileges: Swarm has no such setting; put it into /etc/docker/daemon.json of every machine "
            '("no-new-privileges": true)'
        ]
        if wishes.publish:
            found.append(
                f"port {wishes.publish}: on every address of the machine that runs the gateway: Swarm cannot bind "
                "to one; keep others away with the machine's firewall, and TLS in front"
            )
        else:
            found.append("no port is published; --publish 8080 opens the gateway's, on every address of its machine")
        if any(not engine.gpus for engine in plan.engines):
            found.append("cpu_shares: not in Swarm; an engine on the processor takes what gateway and others leave")
        if plan.gateway.tracing:
            found.append(
                "gateway.tracing: engines have no way out: the collector has to be a service in the stack's network "
                "`engines`, or the gateway's spans are all that it gets"
            )
        return [*found, *exporting.chosen_cards(plan)]

    def files(self, root: Path, plan: Plan, wishes: ExportWishes) -> dict[str, str]:
        made = exporting.one_of_each(plan)
        here = exporting.addresses(made)
        job = exporting.model_job(root, plan)
        configs = _configs(root, made, job)
        grace = plan.drain_seconds + STOP_MARGIN_SECONDS
        more = {
            "groups": exporting.groups(plan),
            "commands": {engine.service: exporting.command(engine) for engine in made.engines},
            "health": {engine.service: _health(engine, grace) for engine in made.engines},
            "facts": plan_facts.of(plan).as_text(),
            "grace": f"{grace}s",
            "job": job,
            "gated": any(engine.gated for engine in made.engines),
            "publish": wishes.publish,
            "configs": configs,
            "of": {
                "gateway": _at(configs, "/etc/fullbatch/"),
                "prometheus": _at(configs, "/etc/prometheus/"),
                "grafana": _at(configs, "/etc/grafana/"),
                "model": [one for one in configs if one.target in job.files],
                "engine": _at(configs, "/fullbatch/stuck.py"),
            },
        }
        return {
            "stack.yaml": templates.text(root, "swarm/stack.yaml", made, here, more),
            **{one.path: one.text for one in configs},
        }

    def check(self, plan: Plan, wishes: ExportWishes) -> list[CheckResult]:
        return live.check(plan, wishes)


def _configs(root: Path, plan: Plan, job: exporting.ModelJob) -> list[Config]:
    here = exporting.addresses(plan)
    wanted = {f"/etc/{place}": templates.text(root, name, plan, here) for place, name in _WRITTEN.items()}
    copied = {f"/etc/prometheus/rules/{path.name}": path for path in sorted((root / _RULES).glob("*.yaml"))}
    copied |= {
        f"/etc/grafana/provisioning/{path.relative_to(root / _GRAFANA)}": path
        for path in sorted((root / _GRAFANA).glob("*/*.yaml"))
    }
    copied |= {f"/etc/grafana/dashboards/{path.name}": path for path in sorted((root / _DASHBOARDS).glob("*.json"))}
    copied |= {target: root / path for target, path in job.files.items()}
    if any(engine.restart_stuck for engine in plan.engines):
        copied["/fullbatch/stuck.py"] = root / "fullbatch/runtime/stuck.py"
    wanted |= {target: path.read_text(encoding="utf-8") for target, path in copied.items()}
    return [_config(plan.name, target, text) for target, text in wanted.items()]


_WRITTEN = {"fullbatch/gateway.yaml": "gateway.yaml", "prometheus/prometheus.yml": "prometheus.yaml"}


def _config(profile: str, target: str, text: str) -> Config:
    key = re.sub(r"[^a-z0-9]+", "-", target.lower()).strip("-").removeprefix("etc-")
    named = f"{key[-_MOST_OF_A_NAME:].strip('-')}-{exporting.digest(profile, target, text)}"
    return Config(key, f"files{target}", target, text, named)


def _at(configs: list[Config], place: str) -> list[Config]:
    return [one for one in configs if one.target.startswith(place)]


def _health(engine: EnginePlan, grace: int) -> list[str]:
    port = ENGINE_PORT
    if engine.restart_stuck:
        words = ["python3", "/fullbatch/stuck.py", "--engine", f"http://127.0.0.1:{port}/health"]
        words += ["--gateway", f"http://gateway:{METRICS_PORT}/health", "--port", str(port), "--grace", str(grace)]
        return words
    ask = "import urllib.request as r; r.build_opener(r.ProxyHandler({}))"
    return ["python3", "-c", f"{ask}.open('http://127.0.0.1:{port}/health', timeout=4)"]
