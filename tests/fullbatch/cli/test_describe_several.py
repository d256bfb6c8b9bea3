from __future__ import annotations

import json

from fullbatch.cli import describe, describe_several
from fullbatch.planning import card_share
from tests.fullbatch.several_profiles import CPU, EMBEDDING, LLAMA, QWEN, QWEN_AWQ, SMOL, on_demand, planned


def test_one_bar_for_the_card() -> None:
    plan = planned({"model": QWEN_AWQ, "context": 8192}, {"model": EMBEDDING, "context": 2048})
    text = describe_several.as_text(plan)
    bar = next(line.strip() for line in text.splitlines() if line.startswith("  ["))
    assert abs(len(bar) - 2 - describe.BAR_WIDTH) <= 2, "each piece is rounded"
    share = plan.places[0].shares[0]
    assert bar.count("A") == round((share.weights_gib + share.overhead_gib) / 23.5 * describe.BAR_WIDTH)
    assert set(bar) == set("[AaBb.]")
    assert f"A {QWEN_AWQ}: weights 5.3 + beside 1.7 + KV cache" in text
    assert f"B {EMBEDDING}: always there" in text


def test_turns_are_one_piece_of_it() -> None:
    text = describe_several.as_text(planned(on_demand(QWEN), on_demand(LLAMA), main_memory_gib=24))
    assert set(next(line.strip() for line in text.splitlines() if line.startswith("  ["))) == set("[@%.]")
    assert "on demand; sleeps in main memory, awake in about 2 s" in text
    assert "there in about 52 s instead of 2 s: main memory does not hold its weights" in text


def test_on_the_processor() -> None:
    text = describe_several.as_text(planned(on_demand("tiny"), on_demand(SMOL), hardware=CPU))
    assert "stopped and started anew, there in about 30 s: engines on the processor cannot sleep" in text


def test_the_same_for_programs() -> None:
    found = json.loads(json.dumps(describe_several.as_json(planned(on_demand(QWEN), on_demand(LLAMA)))))
    assert [one["when"] for one in found["models"]] == ["on-demand", "on-demand"]
    assert found["models"][0]["turn"]["card"] == "card0"
    assert found["places"][0]["kept_gib"] == card_share.KEPT_GIB
    assert found["models"][0]["flags"]["kv-cache-memory-bytes"] > 2**30


def test_flags_are_explained_model_by_model() -> None:
    plan = planned({"model": QWEN_AWQ}, {"model": EMBEDDING})
    assert list(describe_several.explained_as_json(plan)) == [QWEN_AWQ, EMBEDDING]
    text = describe_several.explained(plan)
    assert text.count("--gpu-memory-utilization") == 2
    assert "its share of 23.5 GiB" in text
