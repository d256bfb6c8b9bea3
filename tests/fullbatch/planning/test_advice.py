from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fullbatch import catalog
from fullbatch.core.errors import UsageError
from fullbatch.planning import advice, profile
from fullbatch.planning.feasible import CannotWork
from fullbatch.planning.plan import make

LLAMA_8B = "meta-llama/Llama-3.1-8B-Instruct"
LLAMA_70B = "meta-llama/Llama-3.1-70B-Instruct"
QWEN_7B = "Qwen/Qwen2.5-7B-Instruct"


def _profile(model: str = LLAMA_8B, gpu: str = "rtx4090", **changes: Any) -> profile.Profile:
    hardware = {"gpu": gpu} | {key: changes.pop(key) for key in ("count", "replicas") if key in changes}
    return profile.parse({"description": "d", "model": model, "hardware": hardware} | changes, "x")


def _answer(**changes: Any) -> advice.Advice:
    asked = _profile(**changes)
    return advice.advise(make("x", asked), asked)


def _with(asked: profile.Profile, settings: dict[str, Any]) -> profile.Profile:
    data = asked.model_dump()
    data["hardware"] |= settings.get("hardware", {})
    return profile.parse(data | {key: value for key, value in settings.items() if key != "hardware"}, "x")


def test_fifty_chats_of_2048_tokens_on_a_4090() -> None:
    found = _answer(users=50, context=2048)
    assert found.gives_first == "the KV cache: 38 requests of half the context fit, 50 people ask"
    fp8 = next(choice for choice in found.better if choice.title.startswith("fp8 weights"))
    assert fp8.kv_tokens == pytest.approx(93_000, abs=500)
    two = next(choice for choice in found.better if choice.title.startswith("2 x GeForce RTX 4090, the model cut"))
    assert two.kv_tokens > 2 * 39_000


def test_what_each_choice_says_is_what_its_settings_give() -> None:
    asked = _profile(users=50, context=2048)
    now = make("x", asked).capacity
    for choice in advice.advise(make("x", asked), asked).better:
        held = make("x", _with(asked, choice.settings)).capacity
        assert (held.kv_tokens, held.concurrency_worst) == (choice.kv_tokens, choice.concurrency_worst)
        assert held.concurrency_worst > now.concurrency_worst


def test_the_shorter_context_holds_everybody() -> None:
    asked = _profile(users=50, context=8192)
    shorter = next(one for one in advice.advise(make("x", asked), asked).better if "context" in one.settings)
    assert shorter.concurrency_worst >= 50
    longer = make("x", _with(asked, {"context": shorter.settings["context"] + 512}))
    assert longer.engines[0].capacity.concurrency_worst < 50


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"users": 2, "context": 2048}, "memory bandwidth: everybody fits"),
        ({"users": 30, "context": 2048}, "the KV cache, once more than 19 requests reach the full context"),
        ({"users": 500, "context": 256, "kv_cache": "fp8"}, "the seats in the batch: 256 for 500 people"),
    ],
)
def test_what_gives_first(changes: dict[str, Any], said: str) -> None:
    assert _answer(**changes).gives_first.startswith(said)


def test_a_step_is_bounded_by_what_it_reads() -> None:
    """15 GiB of weights at 1,008 GB/s are 16 ms; the cache of two requests adds a little."""
    found = _answer(users=2, context=2048)
    assert found.step_ms == pytest.approx((15.0 * 2**30 + 2 * 1024 * 131_072) / 1008e9 * 1000)
    assert "at most 6" in found.gives_first


def test_on_the_processor_only_the_context_is_a_choice() -> None:
    data = {"description": "d", "model": "tiny", "hardware": {"cpu": {"kv_cache_gib": 1}}, "context": 8192}
    asked = profile.parse(data | {"users": 200}, "x")
    found = advice.advise(make("x", asked), asked)
    assert [list(choice.settings) for choice in found.better] == [["context"]]
    assert found.step_ms is None


def test_a_card_without_fp8_is_told_what_fp8_weights_give_and_not_offered_an_fp8_cache() -> None:
    titles = [choice.title for choice in _answer(model=QWEN_7B, gpu="rtx3090").better]
    assert any("saves memory, not time" in title for title in titles)
    assert not any("KV cache" in title for title in titles)


def test_70b_on_24_gb_names_the_smallest_change() -> None:
    with pytest.raises(CannotWork) as raised:
        advice.plan("x", _profile(LLAMA_70B))
    said = str(raised.value)
    assert "needs 131.4 GiB for its weights" in said
    assert "this would work: hardware.count: 2 with int4 weights (hugging-quants/Meta-Llama-3.1-70B" in said
    assert "or hardware.gpu: l40s with int4 weights" in said
    assert "\n" not in said
    awq = catalog.models()[LLAMA_70B].checkpoints["int4"][0]
    assert advice.plan("x", _profile(awq, count=2)).engines[0].capacity.concurrency_worst >= 1
    with pytest.raises(UsageError):
        advice.plan("x", _profile(awq))


def test_a_long_context_names_what_holds_it() -> None:
    with pytest.raises(CannotWork, match="write at most 39456; this would work: fp8 weights .* and an FP8 KV cache"):
        advice.plan("x", _profile(context=131_072))


def test_a_wrong_setting_gets_no_advice_on_size() -> None:
    with pytest.raises(CannotWork) as raised:
        advice.plan("x", _profile(QWEN_7B, count=3))
    assert "this would work" not in str(raised.value)


@given(
    st.sampled_from(sorted(catalog.models())),
    st.sampled_from(sorted(catalog.gpus())),
    st.sampled_from([1, 2, 4, 8]),
    st.integers(1, 500),
    st.integers(256, 4096),
)
def test_every_pair_gets_an_answer_or_a_way_out(model: str, gpu: str, count: int, users: int, context: int) -> None:
    asked = _profile(model, gpu, count=count, users=users, context=context)
    try:
        made = advice.plan("x", asked)
    except CannotWork as refusal:
        ways = ("this would work: ", "evenly; write ", "set engine.args kv-cache-dtype: bfloat16")
        # What 64 of the card do not hold has none.
        assert any(way in str(refusal) for way in ways) or catalog.models()[model].params_b > 200
        return
    found = advice.advise(made, asked)
    assert found.gives_first
    worst = [choice.concurrency_worst for choice in found.better]
    assert worst == sorted(worst)
    assert all(value > made.engines[0].capacity.concurrency_worst for value in worst)


def test_where_one_machine_is_not_enough_several_are_named() -> None:
    asked = _profile("meta-llama/Llama-3.1-405B-Instruct", "rtx3090")
    first = advice.smallest_changes(asked)[0]
    assert first == "hardware.count: 8 and hardware.nodes: 5"
    with pytest.raises(CannotWork, match="it does not fit"):
        make("x", _with(asked, {"hardware": {"count": 8, "nodes": 4}}))
    assert make("x", _with(asked, {"hardware": {"count": 8, "nodes": 5}}))
