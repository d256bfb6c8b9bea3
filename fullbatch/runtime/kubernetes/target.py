"""A plan as plain manifests for Kubernetes: a Kustomize base, components that add to it, overlays that choose.

docs/kubernetes.md says what each is for, and what was never run.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import yaml

from fullbatch.core.check_result import CheckResult
from fullbatch.core.errors import UsageError
from fullbatch.planning.engine_plan import EnginePlan
from fullbatch.planning.plan import Plan
from fullbatch.runtime import exporting, requirements, templates
from fullbatch.runtime.base import ExportTarget, ExportWishes
from fullbatch.runtime.containers import METRICS_PORT, STOP_MARGIN_SECONDS

# So long a pod that is to end still answers: until everybody has heard that it goes (gateway.yaml: resolve_interval_s).
PRE_STOP_SECONDS = 5
_TMP_GIB = 2
_RULES = Path("prometheus/rules")
_DASHBOARDS = Path("grafana/generated")
# Template -> where it is written, for every plan.
_BASE = ("kustomization", "namespace", "model", "engine", "gateway", "network")
_COMPONENTS = {
    "monitoring": ("kustomization", "monitors", "network"),
    "hpa": ("kustomization", "hpa"),
    "keda": ("kustomization", "scaledobject"),
}
_CARDS = {"nvidia": ("kustomization", "cards")}
# Where one copy needs several machines: Kustomize adds to a kind that it does not know by operations alone, and nobody
# has machines in reserve that the queue could ask for.
_COMPONENTS_OF_MACHINES = {"monitoring": _COMPONENTS["monitoring"], "nvidia": ("kustomization",)}
_OF_MACHINES = [
    "hardware.nodes: a LeaderWorkerSet (leaderworkerset.x-k8s.io/v1), whose controller has to be in the cluster; the "
    "parts talk over the pods' network, unencrypted, and only policies keep others away",
    "ulimits.memlock: not of a pod; what the container runtime gives, which InfiniBand needs unlimited",
]
_OF_TRACES = [
    "gateway.tracing: kubectl label namespace NAME fullbatch/collector=true, for the collector's; one outside of the "
    "cluster is not let through by network.yaml, unless a policy of yours does"
]


class KubernetesTarget(ExportTarget):
    """`kubectl apply --kustomize` starts what is written."""

    name, about = "kubernetes", "manifests for Kubernetes, with Kustomize"
    next_step = "kubectl apply --kustomize overlays/serve"

    def refusals(self, plan: Plan, wishes: ExportWishes) -> list[str]:
        found = exporting.refusals(plan, "Kubernetes")
        if wishes.publish is not None:
            found.append(
                "--publish: nothing is published in Kubernetes; a Gateway or an Ingress of yours goes to service "
                "gateway, port 8080"
            )
        return found

    def notes(self, plan: Plan, wishes: ExportWishes) -> list[str]:  # noqa: ARG002
        return [
            "pids_limit: not of a pod; the kubelet's podPidsLimit bounds it",
            "NetworkPolicy: nothing without a network plugin that enforces it",
            *(_OF_MACHINES if _machines(plan) > 1 else []),
            *(_OF_TRACES if plan.gateway.tracing else []),
            *exporting.chosen_cards(plan),
        ]

    def files(self, root: Path, plan: Plan, wishes: ExportWishes) -> dict[str, str]:  # noqa: ARG002
        made = exporting.one_of_each(plan)
        job = exporting.model_job(root, plan)
        found = {
            "base/files/gateway.yaml": _text(root, "gateway.yaml", made),
            "overlays/serve/kustomization.yaml": _filled(root, plan, job, "overlay"),
            "overlays/observed/kustomization.yaml": _filled(root, plan, job, "overlay", over="monitoring"),
        }
        found |= {f"base/files/{name}": (root / path).read_text(encoding="utf-8") for name, path in _scripts(plan, job)}
        found |= {f"base/{name}.yaml": _filled(root, plan, job, f"base/{name}") for name in _BASE}
        for component, names in _components(plan).items():
            for name in names:
                path = f"components/{component}/{name}"
                found[f"{path}.yaml"] = _filled(root, plan, job, path)
        return found | _observed(root)

    def check(self, plan: Plan, wishes: ExportWishes) -> list[CheckResult]:  # noqa: ARG002
        raise UsageError(
            "export kubernetes --check: ask the cluster itself: kubectl diff --kustomize overlays/serve, and "
            "kubectl apply --dry-run=server --kustomize overlays/serve"
        )


def _machines(plan: Plan) -> int:
    """How many machines an engine has, at most."""
    return max(engine.nodes for engine in plan.engines)


def _components(plan: Plan) -> dict[str, tuple[str, ...]]:
    if _machines(plan) > 1:
        return _COMPONENTS_OF_MACHINES
    return _COMPONENTS | (_CARDS if plan.gpus else {})


def _text(root: Path, name: str, made: Plan, more: dict[str, Any] | None = None) -> str:
    return templates.text(root, name, made, exporting.addresses(made), more)


def _filled(root: Path, plan: Plan, job: exporting.ModelJob, name: str, over: str = "") -> str:
    made = exporting.one_of_each(plan)
    grace = plan.drain_seconds + STOP_MARGIN_SECONDS + PRE_STOP_SECONDS
    more = {
        "groups": exporting.groups(plan),
        "commands": {one.service: [kubernetes_word(word) for word in exporting.command(one)] for one in made.engines},
        "job": job,
        "job_name": _job_name(root, made, job),
        "scripts": [(target, name) for target, name in _mounts(job)],
        "stuck": any(engine.restart_stuck for engine in made.engines),
        "gated": any(engine.gated for engine in made.engines),
        "machines": _machines(plan),
        "collector": exporting.collector_port(plan),
        "readers": len(plan.engines) * _machines(plan),
        "disk_gib": math.ceil(sum(map(requirements.checkpoint_gib, made.engines)) + requirements.DISK_ROOM_GIB),
        "drain": plan.drain_seconds,
        "grace": grace,
        "pre_stop": PRE_STOP_SECONDS,
        "metrics_port": METRICS_PORT,
        "memory": {one.service: _memory(one) for one in made.engines},
        "card_mib": {one.service: _card_mib(one) for one in made.engines},
        "rules": [path.stem for path in sorted((root / _RULES).glob("*.yaml"))],
        "dashboards": [path.name for path in sorted((root / _DASHBOARDS).glob("*.json"))],
        "over": over,
    }
    return _text(root, f"kubernetes/{name}.yaml", made, more)


def _job_name(root: Path, plan: Plan, job: exporting.ModelJob) -> str:
    """Of all that its pod is made of: Kubernetes changes no job, so another one gets another name."""
    texts = [path.read_text(encoding="utf-8") for path in (root / one for one in job.files.values())]
    return f"model-{exporting.digest(plan.engines[0].image, job.script, *texts)}"


def kubernetes_word(word: str) -> str:
    """A word of a command as `args` takes it: Kubernetes puts variables in the place of `$(NAME)`."""
    return word.replace("$(", "$$(")


def _mounts(job: exporting.ModelJob) -> list[tuple[str, str]]:
    """Where each script lies in the one-shot -> its name in the ConfigMap, which has no folders."""
    return [(target, target.strip("/").replace("/", ".")) for target in job.files]


def _scripts(plan: Plan, job: exporting.ModelJob) -> list[tuple[str, Path]]:
    found = [(name, job.files[target]) for target, name in _mounts(job)]
    stuck = any(engine.restart_stuck for engine in plan.engines)
    return [*found, *([("stuck.py", Path("fullbatch/runtime/stuck.py"))] if stuck else [])]


def _memory(engine: EnginePlan) -> int:
    """Main memory that is asked for, GiB: shared memory and /tmp at most, and on the processor weights and KV cache."""
    held = 0 if engine.gpus else engine.budget.total_gib
    return math.ceil(2 + engine.beside.kv_memory_gib + _TMP_GIB + held)


def _card_mib(engine: EnginePlan) -> int:
    """A card with less memory is not meant, MiB; a twentieth less than planned, as drivers do not agree on the last."""
    return int(engine.budget.total_gib / engine.cards * 1024 * 0.95) if engine.cards else 0


def _observed(root: Path) -> dict[str, str]:
    """Rules and dashboards as the operator of Prometheus and Grafana's sidecar take them."""
    folder = "components/monitoring"
    found = {
        f"{folder}/dashboards/{path.name}": json.dumps(
            json.loads(path.read_text(encoding="utf-8")), separators=(",", ":")
        )
        + "\n"
        for path in sorted((root / _DASHBOARDS).glob("*.json"))
    }
    for path in sorted((root / _RULES).glob("*.yaml")):
        rules = yaml.safe_load(path.read_text(encoding="utf-8"))
        about = {"name": f"fullbatch-{path.stem}", "labels": {"app.kubernetes.io/part-of": "fullbatch"}}
        one = {"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "metadata": about, "spec": rules}
        found[f"{folder}/rules-{path.stem}.yaml"] = yaml.safe_dump(one, sort_keys=False, width=120)
    return found
