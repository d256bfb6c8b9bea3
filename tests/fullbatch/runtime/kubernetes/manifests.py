"""What an export holds, as objects of Kubernetes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from fullbatch.planning.plan import Plan
from fullbatch.runtime.base import ExportWishes
from fullbatch.runtime.kubernetes.target import KubernetesTarget
from tests.fullbatch.checkout import REPOSITORY

Manifest = dict[str, Any]
# One copy over two machines.
MACHINES = "h100x8x2-llama3.1-405b"
PROFILES = ["cpu-tiny", "cpu-smollm2", "rtx4090x2-llama3.1-8b-fp8", "h100x4-llama3.1-70b"]


def files(plan: Plan) -> dict[str, str]:
    return KubernetesTarget().files(REPOSITORY, plan, ExportWishes())


def objects(plan: Plan, folder: str = "base/") -> list[Manifest]:
    """Those below `folder`, but for Kustomize's own and patches."""
    texts = [
        text
        for path, text in files(plan).items()
        if path.startswith(folder) and path.endswith(".yaml") and "/files/" not in path
    ]
    found = [one for text in texts for one in yaml.safe_load_all(text) if one]
    return [one for one in found if one["kind"] not in ("Kustomization", "Component")]


def of_kind(plan: Plan, kind: str, folder: str = "base/") -> dict[str, Manifest]:
    return {one["metadata"]["name"]: one for one in objects(plan, folder) if one["kind"] == kind}


def pods(plan: Plan) -> dict[str, Manifest]:
    """The pod of each Deployment and Job, and those of the parts of a LeaderWorkerSet."""
    return {
        template["metadata"]["labels"]["app.kubernetes.io/name"]: template["spec"]
        for one in objects(plan)
        for template in templates(one)
    }


def templates(one: Manifest) -> list[Manifest]:
    """The templates of pods that an object has, each with its `metadata` and `spec`."""
    if one["kind"] == "LeaderWorkerSet":
        group = one["spec"]["leaderWorkerTemplate"]
        return [group["leaderTemplate"], group["workerTemplate"]]
    return [one["spec"]["template"]] if one["kind"] in ("Deployment", "Job") else []


def containers(pod: Manifest) -> Iterator[Manifest]:
    yield from pod.get("initContainers", [])
    yield from pod["containers"]
