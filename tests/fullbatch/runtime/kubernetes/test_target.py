"""The manifests: their words are the plan's, they are as closed as under Compose, and no rule of ours is broken."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import kubernetes_validate
import pytest
import yaml

from fullbatch.core.errors import UsageError
from fullbatch.planning.plan import Plan
from fullbatch.runtime.base import ExportWishes
from fullbatch.runtime.compose import files as compose
from fullbatch.runtime.kubernetes.target import KubernetesTarget, kubernetes_word
from tests.fullbatch.checkout import REPOSITORY
from tests.fullbatch.runtime.exported import everything, plan_with
from tests.fullbatch.runtime.kubernetes.manifests import PROFILES, Manifest, containers, files, objects, of_kind, pods

PlanOf = Callable[[str], Plan]
# The newest two that the schemas are of.
VERSIONS = ["1.36", "1.37"]


def engine_of(plan: Plan) -> Manifest:
    found: Manifest = pods(plan)["engine"]["containers"][0]
    return found


def composed(plan: Plan) -> dict[str, Manifest]:
    found: dict[str, Manifest] = yaml.safe_load(compose.files(REPOSITORY, plan)["compose.yaml"])["services"]
    found |= yaml.safe_load((REPOSITORY / "compose.yaml").read_text(encoding="utf-8"))["services"]
    return found


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("plan", [*PROFILES, "everything"])
def test_every_object_keeps_to_kubernetes_own_schema(plan: str, version: str, plan_of: PlanOf) -> None:
    made = everything() if plan == "everything" else plan_of(plan)
    kinds = set()
    for one in [*objects(made), *objects(made, "components/hpa/")]:
        kubernetes_validate.validate(one, version, strict=True)
        kinds.add(one["kind"])
    assert kinds >= {"Deployment", "Service", "Job", "PersistentVolumeClaim", "PodDisruptionBudget", "NetworkPolicy"}


def test_the_schema_would_find_a_wrong_word(plan_of: PlanOf) -> None:
    (deployment,) = [one for one in objects(plan_of("cpu-tiny")) if one["metadata"]["name"] == "engine"][:1]
    deployment["spec"]["template"]["spec"]["containers"][0]["startupProb"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("name", PROFILES)
def test_the_words_of_the_engine_are_the_plans(name: str, plan_of: PlanOf) -> None:
    plan = plan_of(name)
    before, said = composed(plan)["engine"], engine_of(plan)
    assert said["args"] == [str(word).replace("$$", "$") for word in before["command"]]
    assert "command" not in said, "the image's own `vllm serve`"
    environment = {one["name"]: one["value"] for one in said["env"]}
    assert environment == {key: str(value) for key, value in before["environment"].items()}


def test_a_word_is_no_variable_of_kubernetes() -> None:
    assert kubernetes_word("a$(HOME)b") == "a$$(HOME)b"
    plan = plan_with(engine={"args": {"chat-template": "/srv/$(HOME).jinja"}})
    assert "/srv/$$(HOME).jinja" in engine_of(plan)["args"]


@pytest.mark.parametrize("name", PROFILES)
def test_containers_are_as_closed_as_under_compose(name: str, plan_of: PlanOf) -> None:
    plan = plan_of(name)
    before = composed(plan)
    for service, pod in pods(plan).items():
        about = pod["securityContext"]
        assert about["runAsNonRoot"] and about["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not pod["automountServiceAccountToken"] and not pod["enableServiceLinks"]
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
        user = f"{about['runAsUser']}:{about['runAsGroup']}"
        # Compose's one-shot is root without capabilities, to own fresh volumes: here fsGroup does that.
        assert user == ("2000:0" if service == "model" else before[service]["user"])
        for one in containers(pod):
            closed = {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert one["securityContext"] == closed, (service, one["name"])
    memory = {"1Gi": "1g"}[pods(plan)["gateway"]["containers"][0]["resources"]["limits"]["memory"]]
    assert memory == before["gateway"]["mem_limit"]


@pytest.mark.parametrize("name", PROFILES)
def test_what_is_written_lies_in_memory_or_on_a_volume_as_under_compose(name: str, plan_of: PlanOf) -> None:
    plan = plan_of(name)
    volumes = {one["name"]: one for one in pods(plan)["engine"]["volumes"]}
    mounted = {one["mountPath"]: one for one in engine_of(plan)["volumeMounts"]}
    assert volumes[mounted["/dev/shm"]["name"]]["emptyDir"] == {"medium": "Memory", "sizeLimit": "2Gi"}
    assert volumes[mounted["/tmp"]["name"]]["emptyDir"]["medium"] == "Memory"
    assert mounted["/models"]["readOnly"] is True
    for pod in pods(plan).values():
        assert not [one for one in pod["volumes"] if "hostPath" in one]


@pytest.mark.parametrize("name", PROFILES)
def test_no_engine_asks_for_a_second_card_while_it_is_updated(name: str, plan_of: PlanOf) -> None:
    plan = plan_of(name)
    spec = of_kind(plan, "Deployment")["engine"]["spec"]
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}
    assert spec["strategy"] == (rolling if len(plan.engines) > 1 else {"type": "Recreate"})
    assert spec["replicas"] == len(plan.engines)
    gateway = of_kind(plan, "Deployment")["gateway"]["spec"]
    assert gateway["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


@pytest.mark.parametrize("name", PROFILES)
def test_a_pod_that_ends_has_time_for_its_answers(name: str, plan_of: PlanOf) -> None:
    plan = plan_of(name)
    for service, pod in pods(plan).items():
        if service == "model":
            continue
        (one,) = pod["containers"]
        pause = int(one["lifecycle"]["preStop"]["exec"]["command"][1])
        assert pod["terminationGracePeriodSeconds"] > pause + plan.drain_seconds, service


@pytest.mark.parametrize("name", PROFILES)
def test_probes_match_the_life_of_what_they_ask(name: str, plan_of: PlanOf) -> None:
    plan = plan_of(name)
    engine, (gateway,) = engine_of(plan), pods(plan)["gateway"]["containers"]
    started = engine["startupProbe"]
    assert started["periodSeconds"] * started["failureThreshold"] == 3600, "as Compose's start_period"
    spec = of_kind(plan, "Deployment")["engine"]["spec"]
    assert spec["progressDeadlineSeconds"] > 3600
    assert {
        one["httpGet"]["path"] for one in (engine[f"{kind}Probe"] for kind in ("startup", "readiness", "liveness"))
    } == {"/health"}
    # Whether an engine is there is no reason to start the gateway again, nor to send nobody to it.
    asked = {gateway[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "readiness", "liveness")}
    assert asked == {"/livez"}


@pytest.mark.parametrize("name", PROFILES)
def test_nothing_is_published(name: str, plan_of: PlanOf) -> None:
    plan = plan_of(name)
    kinds = {one["kind"] for one in objects(plan)}
    assert not kinds & {"Ingress", "HTTPRoute", "Gateway"}
    services = of_kind(plan, "Service")
    assert services["gateway"]["spec"]["type"] == "ClusterIP"
    assert services["engine"]["spec"]["clusterIP"] == "None", "the gateway sees the copies, and chooses"
    ports = {one["port"] for one in services["gateway"]["spec"]["ports"]}
    assert ports == {8080}, "the port that names keys is no service"
    assert not [
        port
        for pod in pods(plan).values()
        for one in containers(pod)
        for port in one.get("ports", [])
        if "hostPort" in port
    ]


@pytest.mark.parametrize("name", PROFILES)
def test_engines_answer_the_gateway_alone_and_have_no_way_out(name: str, plan_of: PlanOf) -> None:
    policies = of_kind(plan_of(name), "NetworkPolicy")
    assert policies["nothing"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    engine = policies["engine"]["spec"]
    gateway = {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "gateway"}}}
    assert engine["ingress"] == [{"from": [gateway], "ports": [{"port": 8000}]}]
    assert "egress" not in engine and "Egress" in engine["policyTypes"]
    ports = {port["port"] for rule in policies["gateway"]["spec"]["ingress"] for port in rule["ports"]}
    assert ports == {8080}
    fetches = {"model"} if "tiny" not in name else set()
    assert {one for one, said in policies.items() if {} in said["spec"].get("egress", [])} == fetches


def test_a_machine_can_be_emptied_and_one_copy_goes_at_a_time(plan_of: PlanOf) -> None:
    for name in PROFILES:
        budgets = of_kind(plan_of(name), "PodDisruptionBudget")
        assert {one["spec"]["maxUnavailable"] for one in budgets.values()} == {1}
        assert set(budgets) == {"engine", "gateway"}


def test_cards_are_a_component_that_the_overlays_take(plan_of: PlanOf) -> None:
    plan = plan_of("h100x4-llama3.1-70b")
    (patch,) = [yaml.safe_load(files(plan)["components/nvidia/cards.yaml"])]
    spec = patch["spec"]["template"]["spec"]
    assert spec["containers"][0]["resources"]["limits"] == {"nvidia.com/gpu": 4}
    (term,) = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    least = int(term["matchExpressions"][0]["values"][0])
    assert 0.9 * 80 * 1024 < least < 80 * 1024, "MiB of one card"
    for overlay in ("serve", "observed"):
        said = yaml.safe_load(files(plan)[f"overlays/{overlay}/kustomization.yaml"])
        assert "../../components/nvidia" in said["components"]
    assert not [path for path in files(plan_of("cpu-tiny")) if "nvidia" in path]


def test_an_engine_on_the_processor_has_composes_shares(plan_of: PlanOf) -> None:
    plan = plan_of("cpu-tiny")
    shares = {"250m": 256, "1": 1024}  # a core is 1024
    asked = {service: pod["containers"][0]["resources"]["requests"]["cpu"] for service, pod in pods(plan).items()}
    assert shares[asked["engine"]] == composed(plan)["engine"]["cpu_shares"]
    assert shares[asked["gateway"]] == 1024
    memory = int(engine_of(plan)["resources"]["requests"]["memory"].removesuffix("Gi"))
    assert memory >= plan.budget.total_gib + 2


def test_everything_that_a_profile_may_add() -> None:
    plan = everything()
    engine, policies = engine_of(plan), of_kind(plan, "NetworkPolicy")
    assert engine["livenessProbe"]["exec"]["command"][:2] == ["python3", "/fullbatch/stuck.py"]
    assert {"name": "stuck", "mountPath": "/fullbatch", "readOnly": True} in engine["volumeMounts"]
    assert files(plan)["base/files/stuck.py"].startswith('"""')
    out = [rule["to"] for rule in policies["engine"]["spec"]["egress"]]
    assert any("10.0.0.0/8" in to[0].get("ipBlock", {}).get("except", []) for to in out), (
        "out, but not to machines inside"
    )
    shm = next(one for one in pods(plan)["engine"]["volumes"] if one["name"] == "shm")
    assert shm["emptyDir"]["sizeLimit"] == "18Gi"


def test_a_licence_is_a_secret_and_no_variable(plan_of: PlanOf) -> None:
    (model,) = pods(plan_of("h100x4-llama3.1-70b"))["model"]["containers"]
    assert {"name": "HF_TOKEN_PATH", "value": "/run/fullbatch/token"} in model["env"]
    (model,) = pods(plan_of("cpu-tiny"))["model"]["containers"]
    assert not [one for one in model["env"] if "TOKEN" in one["name"]]


def test_another_job_is_another_name(plan_of: PlanOf) -> None:
    names = {next(iter(of_kind(plan_of(name), "Job"))) for name in PROFILES}
    assert len(names) == len(PROFILES)


def test_what_is_watched_is_named_as_in_composes_prometheus(plan_of: PlanOf) -> None:
    plan = plan_of("cpu-tiny")
    monitors = of_kind(plan, "PodMonitor", "components/monitoring/")
    jobs = yaml.safe_load(compose.files(REPOSITORY, plan)["prometheus.yaml"])["scrape_configs"]
    assert {"vllm", "gateway"} == set(monitors) <= {one["job_name"] for one in jobs}
    for name, monitor in monitors.items():
        (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
        labels = {one["targetLabel"]: one["replacement"] for one in endpoint["relabelings"]}
        assert labels == {"job": name, "deployment": "cpu-tiny"}
    rules = of_kind(plan, "PrometheusRule", "components/monitoring/")
    written = {path.stem: path for path in (REPOSITORY / "prometheus/rules").glob("*.yaml")}
    assert {name.removeprefix("fullbatch-") for name in rules} == set(written)
    for stem, path in written.items():
        assert rules[f"fullbatch-{stem}"]["spec"] == yaml.safe_load(path.read_text(encoding="utf-8"))


def test_dashboards_have_the_sidecars_label_and_fit_into_an_annotation(plan_of: PlanOf) -> None:
    made = files(plan_of("cpu-tiny"))
    said = yaml.safe_load(made["components/monitoring/kustomization.yaml"])
    generated = sorted((REPOSITORY / "grafana/generated").glob("*.json"))
    assert len(said["configMapGenerator"]) == len(generated) > 0
    for one in said["configMapGenerator"]:
        assert one["options"]["labels"] == {"grafana_dashboard": "1"}
        text = made[f"components/monitoring/{one['files'][0]}"]
        assert len(text) < 256 * 1024, "what kubectl apply keeps beside it"
    first = generated[0]
    assert json.loads(made[f"components/monitoring/dashboards/{first.name}"]) == json.loads(first.read_text("utf-8"))


def test_engines_by_the_queue_grow_by_one_and_are_no_longer_the_manifests(plan_of: PlanOf) -> None:
    plan = plan_of("rtx4090x2-llama3.1-8b-fp8")
    (hpa,) = objects(plan, "components/hpa/")
    (keda,) = objects(plan, "components/keda/")
    assert (hpa["spec"]["minReplicas"], hpa["spec"]["maxReplicas"]) == (2, 3)
    assert (keda["spec"]["minReplicaCount"], keda["spec"]["maxReplicaCount"]) == (2, 3)
    query = keda["spec"]["triggers"][0]["metadata"]["query"]
    exposed = (REPOSITORY / "gateway/telemetry/exposition.py").read_text(encoding="utf-8")
    assert "gateway_queue_depth{" in query and '"gateway_queue_depth"' in exposed
    for name in ("hpa", "keda"):
        said: dict[str, Any] = yaml.safe_load(files(plan)[f"components/{name}/kustomization.yaml"])
        (patch,) = said["patches"]
        assert yaml.safe_load(patch["patch"]) == [{"op": "remove", "path": "/spec/replicas"}]


def test_what_kubernetes_cannot_carry_is_refused_by_name(plan_of: PlanOf) -> None:
    target = KubernetesTarget()
    (said,) = target.refusals(plan_of("cpu-tiny"), ExportWishes(publish=8080))
    assert said.startswith("--publish: nothing is published")
    with pytest.raises(UsageError, match="kubectl diff"):
        target.check(plan_of("cpu-tiny"), ExportWishes())
