from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from fullbatch.lifecycle import diagnosis
from fullbatch.planning import plan_facts
from fullbatch.planning.plan import Plan


@pytest.mark.parametrize(
    "name", ["cpu-tiny", "rtx4090x2-llama3.1-8b-fp8", "h100x8x2-llama3.1-405b", "rtx4090x2-qwen-llama"]
)
def test_what_is_kept_comes_back_whole_and_explains_as_the_plan_does(name: str, plan_of: Callable[[str], Plan]) -> None:
    kept = plan_facts.of(plan_of(name))
    assert plan_facts.read(kept.as_text()) == kept
    assert plan_facts.read(json.loads(kept.as_text())) == kept
    assert "\n" not in kept.as_text(), "a label is one line"
    log = ["vllm serve: error: unrecognized arguments: --swap-space 4"]
    assert diagnosis.findings(log, kept) == diagnosis.findings(log, plan_of(name)) != []


@pytest.mark.parametrize("data", [None, "", "{", "[]", {}, {"device": "cpu"}, {"words": 1}, 7])
def test_what_is_none_of_ours_is_nothing(data: Any) -> None:
    assert plan_facts.read(data) is None


def test_each_of_several_models_is_explained_by_its_own_facts(plan_of: Callable[[str], Plan]) -> None:
    plan = plan_of("rtx4090x2-qwen-llama")
    kept = plan_facts.read(plan_facts.of(plan).as_text())
    assert kept is not None
    assert [kept.of_engine(engine.service).words["model"] for engine in plan.engines] == [
        engine.model for engine in plan.engines
    ]
    assert kept.of_engine("launcher-card0").words == kept.words
    older = json.loads(kept.as_text())
    del older["engines"]
    assert plan_facts.read(older) is not None, "of a deployment that an older version has started"
