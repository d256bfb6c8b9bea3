"""What `engine.args` move is in the plan, refused, or said not to be."""

from __future__ import annotations

from typing import Any

import pytest

from fullbatch import catalog
from fullbatch.catalog import engine_flags
from fullbatch.core.errors import UsageError
from fullbatch.planning import memory, profile, sizing
from fullbatch.planning.plan import Plan, make

LLAMA_8B = "meta-llama/Llama-3.1-8B-Instruct"
QWEN_7B = "Qwen/Qwen2.5-7B-Instruct"
GEMMA_2 = "google/gemma-2-2b-it"


def _plan(args: dict[str, Any] | None = None, **changes: Any) -> Plan:
    data = {"description": "d", "model": LLAMA_8B, "hardware": {"gpu": "rtx4090"}, "users": 50, "context": 4096}
    return make("x", profile.parse(data | changes | {"engine": {"args": args or {}}}, "profiles/x.yaml"))


def _refusal(args: dict[str, Any], **changes: Any) -> str:
    with pytest.raises(UsageError) as raised:
        _plan(args, **changes)
    return str(raised.value)


def _moved(plan: Plan) -> tuple[object, ...]:
    engine = plan.engines[0]
    return engine.budget, engine.capacity, engine.max_num_seqs, engine.max_num_batched_tokens, engine.max_model_len


# Of each flag that is sized: a value, the profile it is given in, and whether it leaves more tokens (+), fewer (-), or
# another length or step (=).
SIZED: dict[str, tuple[Any, dict[str, Any], str]] = {
    "max-model-len": (2048, {}, "="),
    "max-num-seqs": (400, {}, "-"),
    "max-num-batched-tokens": (8192, {}, "-"),
    "gpu-memory-utilization": (0.95, {}, "+"),
    "kv-cache-memory-bytes": ("2G", {}, "-"),
    "num-gpu-blocks-override": (1000, {}, "-"),
    "block-size": (64, {"context": 4100}, "="),
    "kv-cache-dtype": ("int8_per_token_head", {}, "+"),
    "dtype": ("float32", {"model": "Qwen/Qwen2.5-1.5B-Instruct"}, "-"),
    "quantization": ("fp8", {}, "+"),
    "cpu-offload-gb": (4, {}, "+"),
    "enforce-eager": (True, {}, "+"),
    "enable-lora": (True, {}, "-"),
    "max-loras": (8, {}, "-"),
    "max-lora-rank": (256, {}, "-"),
    "disable-hybrid-kv-cache-manager": (True, {"model": GEMMA_2, "context": 8192}, "="),
    "async-scheduling": (False, {"model": GEMMA_2, "context": 8192}, "+"),
    "enable-chunked-prefill": (False, {}, "-"),
    "hf-overrides": ({"max_position_embeddings": 90_000}, {"model": "Qwen/Qwen3-8B", "hardware": {"gpu": "h100"}}, "="),
}


def test_every_sized_flag_has_a_row_here() -> None:
    assert set(SIZED) == {name for name, meaning in engine_flags.meanings().items() if meaning.kind == "sized"}


@pytest.mark.parametrize("flag", SIZED)
def test_a_sized_flag_moves_the_plan(flag: str) -> None:
    value, changes, direction = SIZED[flag]
    beside = {"enable-lora": True} if flag in ("max-loras", "max-lora-rank") else {}
    before, after = _plan(beside, **changes), _plan(beside | {flag: value}, **changes)
    less, more = before.capacity.kv_tokens, after.capacity.kv_tokens
    assert {"+": more > less, "-": more < less, "=": _moved(before) != _moved(after)}[direction]
    assert not any("not sized" in line for line in after.assumptions if flag != "cpu-offload-gb")


@pytest.mark.parametrize(
    "flag", [name for name, meaning in engine_flags.meanings().items() if meaning.kind == "unsized"]
)
def test_an_unsized_flag_is_said_in_the_assumptions(flag: str) -> None:
    taken = engine_flags.taken()[flag]
    value: Any = {"switch": True, "mark": True, "integer": 2, "number": 0.5, "size": 4096, "json": {}, "text": "x"}
    given = taken.choices[0] if taken.choices else value[taken.takes]
    said = [line for line in _plan({flag: given}).assumptions if line.startswith("not sized: ")]
    assert said == [f"not sized: {flag}: {engine_flags.meanings()[flag].says}"]


def test_a_harmless_flag_is_not_mentioned() -> None:
    before, after = _plan(), _plan({"enable-prefix-caching": True, "seed": 3, "lora-modules": ["a=/x"]})
    assert _moved(before) == _moved(after)
    assert before.assumptions == after.assumptions


def test_weights_quantised_while_loading_are_8_bit_as_an_h200_showed() -> None:
    """vLLM 0.32.0 held to the memory of a 4090, Llama 3.1 8B: 40,560 KV tokens at 16 bit, 94,016 with
    `quantization: fp8`, of which the plan knew nothing (+138 %)."""
    plain, fp8 = _plan(), _plan({"quantization": "fp8"})
    assert plain.capacity.kv_tokens == pytest.approx(40_560, rel=0.04)
    assert fp8.capacity.kv_tokens == pytest.approx(94_016, rel=0.04)
    assert fp8.budget.weights_gib == pytest.approx(8.51, abs=0.15)
    assert any(line.startswith("weights: fp8") for line in fp8.assumptions)
    assert fp8.capacity == _plan(weights="fp8").capacity


def test_without_graphs_there_is_what_an_h200_showed() -> None:
    """Qwen2.5 1.5B on the same card: 658,384 tokens, 680,432 with enforce-eager."""
    more = {flag: _plan(args, model="Qwen/Qwen2.5-1.5B-Instruct").capacity.kv_tokens
            for flag, args in (("graphs", {}), ("eager", {"enforce-eager": True}))}  # fmt: skip
    assert more["eager"] - more["graphs"] == pytest.approx(680_432 - 658_384, rel=0.4)
    flags = {flag.name for flag in _plan({"enforce-eager": True}).engines[0].flags}
    assert "max-cudagraph-capture-size" not in flags


@pytest.mark.parametrize(
    "args",
    [{"cudagraph-capture-sizes": [1, 2, 4]}, {"compilation-config": {"cudagraph_mode": "NONE"}},
     {"compilation-config.max_cudagraph_capture_size": 64}, {"compilation-config": '{"cudagraph_capture_sizes": [1]}'}],
)  # fmt: skip
def test_graphs_of_ones_own_are_not_contradicted(args: dict[str, Any]) -> None:
    """Both given, the engine does not start (engine/arg_utils.py:2790)."""
    assert "max-cudagraph-capture-size" not in {flag.name for flag in _plan(args).engines[0].flags}
    kept = {flag.name for flag in _plan({"compilation-config.mode": 3}).engines[0].flags}
    assert "max-cudagraph-capture-size" in kept


def test_a_mode_that_doubles_what_is_not_given_gets_it_given() -> None:
    flags = {flag.name: flag.value for flag in _plan({"performance-mode": "throughput"}).engines[0].flags}
    assert (flags["max-num-seqs"], flags["max-num-batched-tokens"]) == (56, 2048)


def test_a_kv_cache_of_a_given_size_is_that_size() -> None:
    """131,072 bytes a token: 2 GiB hold 16,384, whatever the utilisation."""
    for args in ({}, {"gpu-memory-utilization": 0.5}):
        made = _plan({"kv-cache-memory-bytes": "2G"} | args)
        assert made.capacity.kv_tokens == 16_384
        assert made.budget.kv_gib == 2.0
        assert made.budget.usable_gib == pytest.approx(made.budget.weights_gib + made.budget.overhead_gib + 2)
    two = _plan({"kv-cache-memory-bytes": "2G"}, hardware={"gpu": "rtx4090", "count": 2})
    assert two.capacity.kv_tokens == 32_768
    assert "a KV cache of 20.0 GiB does not fit" in _refusal({"kv-cache-memory-bytes": "20G"})
    # Beyond what the default utilisation leaves, and within the card.
    assert _plan({"kv-cache-memory-bytes": "6G"}).capacity.kv_tokens == 49_152


def test_a_number_of_blocks_is_that_number() -> None:
    assert _plan({"num-gpu-blocks-override": 1000}).capacity.kv_tokens == 16_000
    assert "does not fit" in _refusal({"num-gpu-blocks-override": 100_000})
    cpu: dict[str, Any] = {"model": "tiny", "hardware": {"cpu": {"kv_cache_gib": 1}}, "context": 2048}
    assert _plan({"num-gpu-blocks-override": 40}, **cpu).capacity.kv_tokens == 40 * 128


def test_32_bit_doubles_weights_and_cache() -> None:
    small: dict[str, Any] = {"model": "Qwen/Qwen2.5-1.5B-Instruct"}
    plain, wide = _plan(**small), _plan({"dtype": "float32"}, **small)
    assert wide.budget.weights_gib == 2 * plain.budget.weights_gib
    assert wide.capacity.kv_bytes_per_token == 2 * plain.capacity.kv_bytes_per_token
    assert any("32 bit" in line for line in wide.assumptions)
    # Of a quantised checkpoint only what is not quantised.
    awq: dict[str, Any] = {"model": "Qwen/Qwen2.5-7B-Instruct-AWQ"}
    more = _plan({"dtype": "float32"}, **awq).budget.weights_gib - _plan(**awq).budget.weights_gib
    model = catalog.models()[QWEN_7B]
    assert more == pytest.approx(2 * model.vocab * model.hidden * 2 / sizing.GIB)


def test_weights_in_the_hosts_memory_leave_the_card_and_no_speed_is_said() -> None:
    plain, moved = _plan(), _plan({"cpu-offload-gb": 4})
    assert plain.budget.weights_gib - moved.budget.weights_gib == pytest.approx(4)
    assert plain.step_ms is not None
    assert moved.step_ms is None
    assert any("cpu-offload-gb" in line for line in moved.assumptions)
    # What does not fit otherwise.
    assert _plan({"cpu-offload-gb": 10}, model="Qwen/Qwen2.5-14B-Instruct")
    assert _plan({"cpu-offload-gb": 1000}).budget.weights_gib == 0


def test_adapters_take_places() -> None:
    """One place of rank 16 on Llama 3.1 8B: 41.9 M numbers of its linear layers and 4.2 M of its ends, 88 MiB; and the
    graphs a second time."""
    plain, lora = _plan(), _plan({"enable-lora": True})
    places = lora.budget.overhead_gib - plain.budget.overhead_gib - catalog.calibration().graphs
    assert places == pytest.approx((41_943_040 + 16 * 2 * (4096 + 128_256)) * 2 / sizing.GIB)
    eight = _plan({"enable-lora": True, "max-loras": 4, "max-lora-rank": 64})
    assert eight.budget.overhead_gib > lora.budget.overhead_gib + 15 * places - 0.01
    # What vLLM 0.32.0 kept for the tiny model on the processor, two places of rank 16, without embedding and head.
    tiny = catalog.models()["tiny"]
    kept = sizing.adapters_gib(tiny, sizing.Knobs(adapters=sizing.Adapters(2, 16))) * sizing.GIB
    assert kept - 2 * 16 * 2 * (tiny.hidden + tiny.vocab) * 2 == 1_196_032
    # Cut over two cards each holds less than the whole and more than half.
    model = catalog.models()[LLAMA_8B]
    one, two = (sizing.adapters_gib(model, sizing.Knobs(tensor=n, adapters=sizing.Adapters(1, 16))) for n in (1, 2))
    assert one / 2 < two < one


@pytest.mark.parametrize(
    ("args", "changes", "said"),
    [
        ({"quantization": "awq"}, {}, "awq needs a checkpoint made so, meta-llama/Llama-3.1-8B-Instruct is 16 bit"),
        ({"quantization": "fp8"}, {"model": "Qwen/Qwen2.5-7B-Instruct-AWQ"}, "is int4 already; remove this"),
        ({"quantization": "fb8"}, {}, "vLLM 0.32.0 has no method 'fb8' (did you mean fp8?)"),
        ({"quantization": "bitsandbytes"}, {}, "vLLM 0.32.0 has no method 'bitsandbytes'"),
        ({"max-model-len": 200_000}, {}, "200000 is more than meta-llama/Llama-3.1-8B-Instruct was made"),
        ({"enable-chunked-prefill": False, "max-num-batched-tokens": 2048}, {}, "raise it to 4096, or remove this"),
        ({"block-size": 0}, {}, "engine.args.block-size: 0: write a whole number above 0"),
        ({"cpu-offload-gb": -1}, {}, "engine.args.cpu-offload-gb: -1: write GiB, 0 or more"),
        ({"kv-cache-memory-bytes": 0}, {}, "engine.args.kv-cache-memory-bytes: 0: write a whole number above 0"),
        ({"kv-cache-memory-bytes": "1G"}, {"model": "tiny", "hardware": {"cpu": {"kv_cache_gib": 1}}}, "hardware.cpu"),
        ({"cpu-offload-gb": 1}, {"model": "tiny", "hardware": {"cpu": {"kv_cache_gib": 1}}}, "remove this"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_one_line(args: dict[str, Any], changes: dict[str, Any], said: str) -> None:
    line = _refusal(args, **changes)
    assert said in line
    assert "\n" not in line


def test_a_longer_context_by_overrides_is_taken() -> None:
    """YaRN as a model's card says it."""
    rope = {"rope_parameters": {"rope_type": "yarn", "factor": 4.0}, "max_position_embeddings": 131_072}
    more: dict[str, Any] = {"model": "Qwen/Qwen3-8B", "hardware": {"gpu": "h100"}, "users": 4}
    for args, context in (({"max-model-len": 131_072}, 40_960), ({}, 131_072)):
        made = _plan({"hf-overrides": rope} | args, context=context, **more)
        assert made.engines[0].max_model_len == 131_072
        assert made.capacity.concurrency_worst > 1
        assert not any("not sized" in line for line in made.assumptions)
    strange = _plan({"hf-overrides": {"num_hidden_layers": 2}})
    assert "not sized: hf-overrides: num_hidden_layers: the plan takes the checkpoint's own" in strange.assumptions


def test_methods_that_are_not_followed_are_said() -> None:
    for args in ({"quantization": "nvfp4_per_token"}, {"kv-cache-dtype": "turboquant_4bit_nc"}):
        assert any(line.startswith("not sized: ") and "16 bit" in line for line in _plan(args).assumptions)


def test_precision_is_what_the_engine_holds() -> None:
    made = profile.parse({"description": "d", "model": LLAMA_8B, "hardware": {"gpu": "rtx4090"}, "weights": "fp8"}, "x")
    assert memory.precision(made, catalog.models()[LLAMA_8B]) == "fp8"
