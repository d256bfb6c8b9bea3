"""One copy over several machines: a LeaderWorkerSet, whose words are those of the multi-node files of Compose.

Its schema below is written by hand, of the fields that we use, after the CRD of kubernetes-sigs/lws v0.9.0
(config/crd/bases, commit f056f611, Apache 2.0); the pods in it are held to Kubernetes' own.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from fullbatch.planning.plan import Plan
from fullbatch.runtime.base import ExportWishes
from fullbatch.runtime.compose import files as compose
from fullbatch.runtime.kubernetes.target import KubernetesTarget
from tests.fullbatch.checkout import REPOSITORY
from tests.fullbatch.runtime.kubernetes.manifests import (
    MACHINES,
    Manifest,
    containers,
    files,
    objects,
    of_kind,
    pods,
    templates,
)

PlanOf = Callable[[str], Plan]
NAME = {"type": "string", "pattern": "^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$"}  # DNS-1035: a service is called so


def _closed(required: str, **fields: Any) -> Manifest:
    return {"type": "object", "properties": fields, "required": required.split(), "additionalProperties": False}


_COUNT = {"type": "integer", "minimum": 0}
_TEMPLATE = _closed("metadata spec", metadata={"type": "object"}, spec={"type": "object"})
SCHEMA = _closed(
    "apiVersion kind metadata spec",
    apiVersion={"const": "leaderworkerset.x-k8s.io/v1"},
    kind={"const": "LeaderWorkerSet"},
    metadata=_closed("name", name=NAME, labels={"type": "object"}),
    spec=_closed(
        "leaderWorkerTemplate",
        replicas=_COUNT,
        startupPolicy={"enum": ["LeaderCreated", "LeaderReady"]},
        rolloutStrategy=_closed(
            "type",
            type={"const": "RollingUpdate"},
            rollingUpdateConfiguration=_closed("", maxSurge=_COUNT, maxUnavailable=_COUNT, partition=_COUNT),
        ),
        leaderWorkerTemplate=_closed(
            "workerTemplate",
            size={"type": "integer", "minimum": 1},
            restartPolicy={"enum": ["RecreateGroupOnPodRestart", "RecreateGroupAfterStart", "None"]},
            leaderTemplate=_TEMPLATE,
            workerTemplate=_TEMPLATE,
        ),
    ),
)


@pytest.fixture
def plan(plan_of: PlanOf) -> Plan:
    return plan_of(MACHINES)


@pytest.fixture
def group(plan: Plan) -> Manifest:
    (found,) = of_kind(plan, "LeaderWorkerSet").values()
    return found


def composed(plan: Plan, file: str) -> Manifest:
    found: Manifest = yaml.safe_load(compose.files(REPOSITORY, plan)[file])["services"]["engine"]
    return found


def held(group: Manifest) -> None:
    jsonschema.validate(group, SCHEMA)
    for template in templates(group):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"} | template["metadata"]}
        kubernetes_validate.validate(pod | {"spec": template["spec"]}, "1.37", strict=True)


def test_it_keeps_to_the_schemas_and_nothing_else_asks_for_cards(plan: Plan, group: Manifest) -> None:
    held(group)
    for one in objects(plan):
        if one["kind"] != "LeaderWorkerSet":
            kubernetes_validate.validate(one, "1.37", strict=True)
    assert set(of_kind(plan, "Deployment")) == {"gateway"}


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda spec: spec.update(startupPolicie="LeaderReady"), jsonschema.ValidationError),
        (lambda spec: spec["leaderWorkerTemplate"].update(restartPolicy="Always"), jsonschema.ValidationError),
        (lambda spec: spec["leaderWorkerTemplate"].pop("workerTemplate"), jsonschema.ValidationError),
        (
            lambda spec: spec["leaderWorkerTemplate"]["workerTemplate"]["spec"]["containers"][0].update(startupProb={}),
            kubernetes_validate.ValidationError,
        ),
    ],
)
def test_the_schemas_would_find_a_wrong_word(
    group: Manifest, change: Callable[[Manifest], Any], error: type[Exception]
) -> None:
    wrong = copy.deepcopy(group)
    change(wrong["spec"])
    with pytest.raises(error):
        held(wrong)


@pytest.mark.parametrize(("part", "file"), [("engine", "compose.yaml"), ("engine-part", "node-1.yaml")])
def test_each_part_has_the_words_of_composes_machine(plan: Plan, part: str, file: str) -> None:
    (said,), before = pods(plan)[part]["containers"], composed(plan, file)
    given = {
        "$(LWS_LEADER_ADDRESS)": "NODE0",  # of the controller: where the first part is
        "$(LWS_WORKER_INDEX)": "1",
        "$(VLLM_HOST_IP)": "NODE0",  # its own address
    }
    words = ["NODE0" if word.startswith("${NODE0_ADDRESS") else word.replace("$$", "$") for word in before["command"]]
    # Its own network instead of the machine's: there is no other address that it could listen on by mistake.
    if part == "engine":
        words[words.index("--host") + 1] = "0.0.0.0"
    assert [given.get(word, word) for word in said["args"]] == words
    environment = {one["name"]: one.get("value") for one in said["env"]}
    address = next(one for one in said["env"] if one["name"] == "VLLM_HOST_IP")
    assert address["valueFrom"] == {"fieldRef": {"fieldPath": "status.podIP"}}
    assert environment | {"VLLM_HOST_IP": ""} == {k: str(v) for k, v in before["environment"].items()} | {
        "VLLM_HOST_IP": ""
    }


def test_all_parts_start_together_and_none_starts_again_alone(group: Manifest) -> None:
    spec = group["spec"]
    # `LeaderReady` would wait for a first part that waits for the others.
    assert (spec["replicas"], spec["startupPolicy"]) == (1, "LeaderCreated")
    assert spec["leaderWorkerTemplate"]["restartPolicy"] == "RecreateGroupOnPodRestart"
    assert spec["leaderWorkerTemplate"]["size"] == 2
    rolling = {"maxSurge": 0, "maxUnavailable": 1}
    assert spec["rolloutStrategy"]["rollingUpdateConfiguration"] == rolling, "no second set of cards is free"


def test_the_gateway_reaches_the_first_part_alone(plan: Plan, group: Manifest) -> None:
    service = of_kind(plan, "Service")["engine"]["spec"]
    assert service["clusterIP"] == "None" and "publishNotReadyAddresses" not in service
    first, other = (template["metadata"]["labels"] for template in templates(group))
    assert service["selector"].items() <= first.items()
    assert not service["selector"].items() <= other.items()
    assert group["metadata"]["name"] not in of_kind(plan, "Service"), "the controller makes one of this name"
    assert 'url: "http://engine:8000"' in files(plan)["base/files/gateway.yaml"]


def test_parts_are_as_closed_as_the_rest(plan: Plan) -> None:
    for pod in (pods(plan)[part] for part in ("engine", "engine-part")):
        about = pod["securityContext"]
        assert about["runAsNonRoot"] and about["seccompProfile"] == {"type": "RuntimeDefault"}
        assert f"{about['runAsUser']}:{about['runAsGroup']}" == composed(plan, "node-1.yaml")["user"]
        assert not pod["automountServiceAccountToken"] and not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
        assert not [one for one in pod["volumes"] if "hostPath" in one]
        for one in containers(pod):
            assert one["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert not [port for port in one.get("ports", []) if "hostPort" in port]


def test_parts_talk_to_each_other_and_nobody_else_to_them(plan: Plan, group: Manifest) -> None:
    policies = of_kind(plan, "NetworkPolicy")
    between = policies["engine-parts"]["spec"]
    parts = {"podSelector": between["podSelector"]}
    for template in templates(group):
        assert between["podSelector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    assert between["ingress"] == [{"from": [parts]}]
    to = [rule["to"] for rule in between["egress"]]
    assert to[0] == [parts] and len(to) == 2
    assert {port["port"] for port in between["egress"][1]["ports"]} == {53}
    gateway = {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "gateway"}}}
    assert policies["engine"]["spec"]["ingress"] == [{"from": [gateway], "ports": [{"port": 8000}]}]


def test_a_part_outlives_the_answers_of_the_first(plan: Plan) -> None:
    """vLLM's headless part ends at once when it is told to."""
    found = pods(plan)
    pause = {
        part: int(found[part]["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
        for part in ("engine", "engine-part")
    }
    assert pause["engine-part"] == pause["engine"] + plan.drain_seconds
    assert found["engine-part"]["terminationGracePeriodSeconds"] > pause["engine-part"]
    assert "ports" not in found["engine-part"]["containers"][0]
    assert not [name for name in found["engine-part"]["containers"][0] if name.endswith("Probe")]
    (waits,) = found["engine-part"]["initContainers"]
    assert 'getent hosts "$LWS_LEADER_ADDRESS"' in waits["command"][-1]


def test_every_machine_reads_the_weights_and_one_part_is_moved_at_a_time(plan: Plan) -> None:
    claims = of_kind(plan, "PersistentVolumeClaim")
    for name in ("models", "engine-cache"):
        assert claims[name]["spec"]["accessModes"] == ["ReadWriteMany"]
    budget = of_kind(plan, "PodDisruptionBudget")["engine"]["spec"]
    assert (budget["maxUnavailable"], budget["selector"]) == (1, {"matchLabels": {"fullbatch/engine": "engine"}})


def test_it_says_what_is_otherwise_and_offers_no_copies_by_the_queue(plan: Plan) -> None:
    target = KubernetesTarget()
    assert target.refusals(plan, ExportWishes()) == []
    notes = "\n".join(target.notes(plan, ExportWishes()))
    assert "whose controller has to be in the cluster" in notes and "ulimits.memlock" in notes
    assert {path.split("/")[1] for path in files(plan) if path.startswith("components/")} == {"monitoring", "nvidia"}
    assert "keda" not in files(plan)["overlays/serve/kustomization.yaml"]
