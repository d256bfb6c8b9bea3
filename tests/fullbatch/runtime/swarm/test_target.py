"""The stack file: what Swarm takes of Compose's, what stands in the place of the rest, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from fullbatch.planning.plan import Plan
from fullbatch.runtime.base import ExportWishes
from fullbatch.runtime.compose import files as compose
from fullbatch.runtime.swarm.target import SwarmTarget
from tests.fullbatch.checkout import REPOSITORY
from tests.fullbatch.runtime.exported import everything, plan_with

PlanOf = Callable[[str], Plan]
PUBLISHED = ExportWishes(publish=8080)
# Seen with 28.5 (docs/swarm.md): refused, ignored with a word, dropped without one, or changed.
NOT_IN_SWARM = frozenset(
    """depends_on profiles gpus pids_limit mem_limit cpu_shares cpus pull_policy scale runtime platform
    group_add restart security_opt shm_size network_mode pid ipc build devices privileged container_name tmpfs
    extends attach""".split()
)
PROFILES = ["cpu-tiny", "cpu-smollm2", "rtx4090x2-llama3.1-8b-fp8", "h100x4-llama3.1-70b"]


def stack(plan: Plan, wishes: ExportWishes = PUBLISHED) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(SwarmTarget().files(REPOSITORY, plan, wishes)["stack.yaml"])
    return found


def services(plan: Plan) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = stack(plan)["services"]
    return found


@pytest.mark.parametrize("name", PROFILES)
def test_no_service_says_what_swarm_ignores_or_changes(name: str, plan_of: PlanOf) -> None:
    written = stack(plan_of(name))
    assert set(written) == {"services", "networks", "volumes", "secrets", "configs"}
    for service, said in written["services"].items():
        assert not NOT_IN_SWARM & set(said), service
        assert said["deploy"].get("endpoint_mode", "dnsrr") == "dnsrr", "a virtual address needs IPVS, and hides copies"


@pytest.mark.parametrize("name", PROFILES)
def test_containers_are_as_closed_as_under_compose(name: str, plan_of: PlanOf) -> None:
    theirs = yaml.safe_load((REPOSITORY / "compose.yaml").read_text(encoding="utf-8"))["services"]
    theirs |= yaml.safe_load(compose.files(REPOSITORY, plan_of(name))["compose.yaml"])["services"]
    for service, said in services(plan_of(name)).items():
        before = theirs[service]
        for key in ("read_only", "cap_drop", "init", "user", "logging"):
            assert said.get(key) == before.get(key), (service, key)
        assert said["deploy"]["resources"]["limits"]["pids"] == before["pids_limit"], service
        assert said["deploy"]["resources"]["limits"].get("memory") == before.get("mem_limit"), service
        scratch = {one["target"] for one in said["volumes"] if one["type"] == "tmpfs"}
        assert {one.partition(":")[0] for one in before["tmpfs"]} <= scratch, service


@pytest.mark.parametrize("name", PROFILES)
def test_the_engines_words_environment_and_life_are_composes(name: str, plan_of: PlanOf) -> None:
    plan = plan_of(name)
    before = yaml.safe_load(compose.files(REPOSITORY, plan)["compose.yaml"])["services"]["engine"]
    said = services(plan)["engine"]
    assert said["command"] == before["command"]
    assert said["environment"] == before["environment"] | {"TMPDIR": "/cache"}
    assert said["healthcheck"] == before["healthcheck"]
    assert said["stop_grace_period"] == before["stop_grace_period"]
    assert said["networks"] == before["networks"] == ["engines"]
    assert said["labels"] == before["labels"]
    shm = next(one for one in said["volumes"] if one["target"] == "/dev/shm")
    assert f"{shm['tmpfs']['size'] // 2**30}gb" == before["shm_size"]


def test_the_gateway_finds_all_copies_behind_one_name(plan_of: PlanOf) -> None:
    plan = plan_of("rtx4090x2-llama3.1-8b-fp8")
    said = services(plan)
    assert said["engine"]["deploy"]["replicas"] == 2 and "engine-2" not in said
    gateway = yaml.safe_load(SwarmTarget().files(REPOSITORY, plan, PUBLISHED)["files/etc/fullbatch/gateway.yaml"])
    (engine,) = gateway["engines"]
    assert engine["url"] == "http://engine:8000" and engine["max_running"] == plan.admission.max_running_each
    assert gateway["admission"]["max_queued"] == plan.admission.max_queued


def test_cards_are_generic_resources_and_engines_stop_first(plan_of: PlanOf) -> None:
    deploy = services(plan_of("h100x4-llama3.1-70b"))["engine"]["deploy"]
    asked = deploy["resources"]["reservations"]["generic_resources"]
    assert asked == [{"discrete_resource_spec": {"kind": "gpu", "value": 4}}]
    assert deploy["update_config"]["order"] == "stop-first"
    assert deploy["update_config"]["failure_action"] == "rollback"
    assert deploy["update_config"]["max_failure_ratio"] == 0
    assert "reservations" not in services(plan_of("cpu-tiny"))["engine"]["deploy"]["resources"]
    assert services(plan_of("cpu-tiny"))["gateway"]["deploy"]["update_config"]["order"] == "start-first"


@pytest.mark.parametrize("name", PROFILES)
def test_only_the_gateway_is_published_and_only_when_asked(name: str, plan_of: PlanOf) -> None:
    published = {service: said["ports"] for service, said in services(plan_of(name)).items() if "ports" in said}
    assert published == {"gateway": [{"target": 8080, "published": 8080, "protocol": "tcp", "mode": "host"}]}
    assert not [said for said in stack(plan_of(name), ExportWishes())["services"].values() if "ports" in said]
    assert any("every address" in note for note in SwarmTarget().notes(plan_of(name), PUBLISHED))
    assert any("no port is published" in note for note in SwarmTarget().notes(plan_of(name), ExportWishes()))


@pytest.mark.parametrize("name", PROFILES)
def test_every_configuration_is_a_file_a_service_has_under_a_name_with_a_digest(name: str, plan_of: PlanOf) -> None:
    files = SwarmTarget().files(REPOSITORY, plan_of(name), PUBLISHED)
    written = yaml.safe_load(files["stack.yaml"])
    used = {one["source"]: one["target"] for said in written["services"].values() for one in said.get("configs", [])}
    assert set(used) == set(written["configs"])
    for key, config in written["configs"].items():
        assert config["file"].removeprefix("./") in files and len(config["name"]) <= 64
        assert config["file"].endswith(used[key])
    assert len({config["name"] for config in written["configs"].values()}) == len(written["configs"])


def test_another_text_is_another_name(plan_of: PlanOf) -> None:
    def name(plan: Plan) -> str:
        found: str = stack(plan)["configs"]["fullbatch-gateway-yaml"]["name"]
        return found

    assert name(plan_with()) == name(plan_with()) != name(plan_with(users=10))
    assert len({name(plan_of(one)) for one in PROFILES}) == len(PROFILES), "two stacks change nothing of each other's"


def test_an_engine_waits_for_the_marker_that_the_model_leaves(plan_of: PlanOf) -> None:
    said = services(plan_of("cpu-tiny"))
    (script,) = said["model"]["command"]
    marker = script.strip().rpartition(" ")[2]
    assert f"until [ -e {marker} ]" in said["engine"]["entrypoint"][2]
    assert said["engine"]["entrypoint"][2].endswith('exec vllm serve "$$@"')
    assert said["model"]["deploy"]["mode"] == "global-job", "on each machine, and on one that joins later"


def test_where_spans_go_is_said() -> None:
    notes = SwarmTarget().notes(plan_with(gateway={"tracing": "http://collector:4318"}), PUBLISHED)
    assert any(note.startswith("gateway.tracing: engines have no way out") for note in notes)
    assert not any("tracing" in note for note in SwarmTarget().notes(plan_with(), PUBLISHED))


def test_a_licence_is_a_secret_and_no_variable() -> None:
    written = stack(plan_with())
    assert written["secrets"]["hf_token"] == {"external": True, "name": "fullbatch_hf_token"}
    assert "HF_TOKEN" not in written["services"]["model"]["environment"]
    assert "hf_token" not in stack(everything())["secrets"]


def test_everything_that_a_profile_may_add() -> None:
    said = services(everything())["engine"]
    assert said["networks"] == ["engines", "front"]
    assert said["healthcheck"]["test"][:3] == ["CMD", "python3", "/fullbatch/stuck.py"]
    assert [one["target"] for one in said["configs"]] == ["/fullbatch/stuck.py"]
    shm = next(one for one in said["volumes"] if one["target"] == "/dev/shm")
    assert shm["tmpfs"]["size"] == 18 * 2**30


def test_what_swarm_cannot_carry_is_refused_by_name(plan_of: PlanOf) -> None:
    (said,) = SwarmTarget().refusals(plan_of("h100x8x2-llama3.1-405b"), PUBLISHED)
    assert said.startswith("hardware.nodes: ")
    assert SwarmTarget().refusals(plan_of("cpu-tiny"), PUBLISHED) == []
    notes = SwarmTarget().notes(plan_of("cpu-tiny"), PUBLISHED)
    assert [note.partition(":")[0] for note in notes] == ["no-new-privileges", "port 8080", "cpu_shares"]


def test_a_dollar_in_a_word_is_nobodys_variable() -> None:
    plan = plan_with(engine={"args": {"chat-template": "/srv/$HOME.jinja"}})
    words = services(plan)["engine"]["command"]
    assert "/srv/$$HOME.jinja" in words
    assert json.dumps(words)
