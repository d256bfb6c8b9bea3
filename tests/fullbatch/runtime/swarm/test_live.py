"""What a manager says of its machines, and whether a plan finds its cards there."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from fullbatch.core.errors import HostError
from fullbatch.planning.plan import Plan
from fullbatch.runtime.base import ExportWishes
from fullbatch.runtime.swarm import live
from fullbatch.runtime.swarm.live import Node, Swarm

PlanOf = Callable[[str], Plan]
SECRETS = frozenset({"fullbatch_api_keys", "fullbatch_grafana_password", "fullbatch_hf_token"})
TWO_COPIES = "rtx4090x2-llama3.1-8b-fp8"


def found(plan: Plan, *nodes: Node, secrets: frozenset[str] = SECRETS, publish: int | None = 8080) -> dict[str, str]:
    """Severity of each check, and what it found."""
    said = live.judge(Swarm(nodes, secrets), plan, ExportWishes(publish))
    return {one.check: f"{one.severity}: {one.finding}" for one in said}


def node(name: str, cards: int = 0, takes: bool = True, engine: str = "28.5.2") -> Node:
    return Node(name, takes, engine, cards)


def test_machines_with_a_spare_card(plan_of: PlanOf) -> None:
    said = found(plan_of(TWO_COPIES), node("a", 2), node("b", 2))
    assert all(one.startswith("ok: ") for one in said.values()), said
    assert said["cards"] == "ok: 2 cards are there, 2 more"


def test_no_card_at_all_is_one_line_with_the_setting(plan_of: PlanOf) -> None:
    (said,) = [
        one
        for one in live.judge(Swarm((node("a"), node("b")), SECRETS), plan_of(TWO_COPIES), ExportWishes())
        if one.check == "cards"
    ]
    assert (said.severity, said.finding) == ("fail", "no machine has said that it has a card (gpu); 2 are needed")
    assert "node-generic-resources" in said.fix


def test_a_copy_needs_all_its_cards_on_one_machine(plan_of: PlanOf) -> None:
    plan = plan_of("h100x4-llama3.1-70b")
    assert found(plan, node("a", 2), node("b", 2))["cards"].startswith("fail: 0 of 1 copies of engine find 4 card(s)")
    assert found(plan, node("a", 4))["cards"].startswith("warn: 4 cards are there, 0 more: when a machine goes")


def test_a_machine_that_takes_no_work_has_no_cards_for_us(plan_of: PlanOf) -> None:
    said = found(plan_of(TWO_COPIES), node("a", 1), node("b", 2, takes=False))
    assert said["machines"] == "warn: 1 of 2 machines take work; not b"
    assert said["cards"].startswith("fail: 1 of 2 copies")


def test_one_machine_cannot_start_a_published_gateway_beside_the_old_one(plan_of: PlanOf) -> None:
    assert found(plan_of("cpu-tiny"), node("a"))["gateway"].startswith("warn: one machine, and the gateway's port 8080")
    assert "gateway" not in found(plan_of("cpu-tiny"), node("a"), publish=None)
    assert "cards" not in found(plan_of("cpu-tiny"), node("a"))


def test_secrets_and_old_engines(plan_of: PlanOf) -> None:
    said = found(plan_of("cpu-tiny"), node("a", engine="24.0.7"), secrets=frozenset({"fullbatch_api_keys"}))
    assert said["secrets"] == "fail: fullbatch_grafana_password is not there"
    assert said["engines"] == "fail: Docker Engine older than 25: a (24.0.7)"


def inspected(name: str, state: str = "ready", **resources: Any) -> dict[str, Any]:
    about = {"Hostname": name, "Resources": resources, "Engine": {"EngineVersion": "28.5.2"}}
    return {"Description": about, "Status": {"State": state}, "Spec": {"Availability": "active"}}


def test_cards_are_named_or_counted() -> None:
    named = [{"NamedResourceSpec": {"Kind": "gpu", "Value": f"GPU-{one}"}} for one in "ab"]
    assert live.node(inspected("a", GenericResources=named)).cards == 2
    counted = [
        {"DiscreteResourceSpec": {"Kind": "gpu", "Value": 3}},
        {"DiscreteResourceSpec": {"Kind": "ssd", "Value": 9}},
    ]
    assert live.node(inspected("a", GenericResources=counted)).cards == 3
    assert live.node(inspected("a")).cards == 0
    assert not live.node(inspected("a", state="down")).takes


def test_docker_is_asked(programs: Callable[[str, str], None]) -> None:
    said = json.dumps([inspected("a")])
    programs(
        "docker",
        f"""case "$1 $2" in
        "info --format") echo '{{"LocalNodeState": "active", "ControlAvailable": true}}';;
        "node ls") echo id1;;
        "node inspect") echo '{said}';;
        "secret ls") echo fullbatch_api_keys;;
        esac""",
    )
    assert live.read() == Swarm((node("a"),), frozenset({"fullbatch_api_keys"}))


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (
            """echo '{"LocalNodeState": "inactive", "ControlAvailable": false}'""",
            "docker: this is no manager of a Swarm",
        ),
        ("echo 'permission denied' >&2; exit 1", "docker info: permission denied"),
    ],
)
def test_no_manager_is_a_host_error_in_one_line(body: str, line: str, programs: Callable[[str, str], None]) -> None:
    programs("docker", body)
    with pytest.raises(HostError, match=line):
        live.read()


def test_without_docker(programs: Callable[[str, str], None]) -> None:
    programs("something-else", "true")
    with pytest.raises(HostError, match="docker: not installed here"):
        live.read()
