"""Kustomize itself puts the shipped example together, each way that a page names."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from fullbatch.planning.plan import Plan
from scripts.offline import debian
from scripts.offline.process import OfflineError
from tests.fullbatch.checkout import REPOSITORY
from tests.fullbatch.runtime.kubernetes.manifests import MACHINES, Manifest, files, templates

OURS = REPOSITORY / ".fullbatch/kustomize"


@pytest.fixture(scope="module")
def build() -> Callable[[Path], list[Manifest]]:
    """`kustomize build`: the machine's, or Debian's package unpacked."""
    path = f"{OURS}/usr/bin{os.pathsep}{os.environ['PATH']}"
    if not shutil.which("kustomize", path=path):
        try:
            debian.unpack(["kustomize"], "sid", OURS)
        except OfflineError as error:
            pytest.skip(f"no kustomize, and none could be had: {error}")
    program = shutil.which("kustomize", path=path)
    assert program

    def made(folder: Path) -> list[Manifest]:
        answer = subprocess.run(
            [program, "build", str(folder)], capture_output=True, text=True, check=False, timeout=60
        )
        assert answer.returncode == 0 and not answer.stderr, answer.stderr
        return list(yaml.safe_load_all(answer.stdout))

    return made


def write(folder: Path, plan: Plan) -> None:
    for path, text in files(plan).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")


def test_overlays_and_components_go_together(
    tmp_path: Path, build: Callable[[Path], list[Manifest]], plan_of: Callable[[str], Plan]
) -> None:
    write(tmp_path, plan_of("rtx4090x2-llama3.1-8b-fp8"))
    served, observed = build(tmp_path / "overlays/serve"), build(tmp_path / "overlays/observed")
    for one in served:
        kubernetes_validate.validate(one, "1.37", strict=True)
    (engine,) = [one for one in served if one["kind"] == "Deployment" and one["metadata"]["name"] == "engine"]
    pod = engine["spec"]["template"]["spec"]
    assert pod["containers"][0]["resources"]["limits"] == {"nvidia.com/gpu": 1}
    assert pod["containers"][0]["args"], "the patch takes nothing away"
    (job,) = [one for one in served if one["kind"] == "Job"]
    assert job["spec"]["template"]["spec"]["nodeSelector"] == pod["nodeSelector"]
    (gateway,) = [one for one in served if one["kind"] == "Deployment" and one["metadata"]["name"] == "gateway"]
    (config,) = [
        one["configMap"]["name"] for one in gateway["spec"]["template"]["spec"]["volumes"] if "configMap" in one
    ]
    assert config.startswith("gateway-"), "with a digest: a change is a new pod"
    assert {one["kind"] for one in observed} - {one["kind"] for one in served} == {"PodMonitor", "PrometheusRule"}
    assert {one["metadata"].get("namespace") for one in observed if one["kind"] != "Namespace"} == {"fullbatch"}
    for name in ("keda", "hpa"):
        overlay = tmp_path / "overlays" / name
        overlay.mkdir()
        said = {"resources": ["../serve"], "components": [f"../../components/{name}"]}
        (overlay / "kustomization.yaml").write_text(yaml.safe_dump(said), encoding="utf-8")
        (engine,) = [
            one for one in build(overlay) if one["metadata"]["name"] == "engine" and one["kind"] == "Deployment"
        ]
        assert "replicas" not in engine["spec"]


def test_every_machine_of_one_copy_gets_its_cards(
    tmp_path: Path, build: Callable[[Path], list[Manifest]], plan_of: Callable[[str], Plan]
) -> None:
    """Kustomize does not know this kind: it would replace a list where it ought to add to it."""
    plan = plan_of(MACHINES)
    write(tmp_path, plan)
    patch = yaml.safe_load((tmp_path / "overlays/serve/kustomization.yaml").read_text("utf-8"))
    images = [{"name": "vllm/vllm-openai", "newName": "registry.example/vllm"}]
    (tmp_path / "overlays/serve/kustomization.yaml").write_text(yaml.safe_dump(patch | {"images": images}), "utf-8")
    for overlay in ("serve", "observed"):
        (group,) = [one for one in build(tmp_path / "overlays" / overlay) if one["kind"] == "LeaderWorkerSet"]
        assert group["metadata"]["namespace"] == "fullbatch"
        for template in templates(group):
            pod = template["spec"]
            assert pod["containers"][0]["resources"]["limits"] == {"nvidia.com/gpu": 8}
            assert pod["containers"][0]["args"] and pod["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
            if overlay == "serve":
                for one in (*pod["containers"], *pod["initContainers"]):
                    assert one["image"].startswith("registry.example/vllm:"), "your registry's, as of a Deployment"
