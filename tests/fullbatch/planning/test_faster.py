"""Checkpoints from which one person gets quicker answers, with what that costs."""

from __future__ import annotations

from typing import Any

import pytest

from fullbatch.planning import advice, profile
from fullbatch.planning.faster import FasterChoice
from fullbatch.planning.plan import make

LLAMA = "meta-llama/Llama-3.1-8B-Instruct"


def _choices(model: str = LLAMA, gpu: str = "rtx4090", **changes: Any) -> tuple[FasterChoice, ...]:
    asked = profile.parse({"description": "d", "model": model, "hardware": {"gpu": gpu}, "users": 1} | changes, "x")
    return advice.advise(make("x", asked), asked).faster


def test_for_one_person_the_checkpoints_of_fewer_bytes_are_named_the_fastest_last() -> None:
    fp8, int4 = _choices()
    assert fp8.settings == {"model": "RedHatAI/Meta-Llama-3.1-8B-Instruct-FP8"}
    assert [fp8.times, int4.times] == pytest.approx([15 / 8.5, 15 / 5.4])
    assert "int4 weights (hugging-quants/" in int4.title
    assert fp8.quality.startswith("mean KL divergence from bf16 0.023 (Qwen3.6 27B, noonghunna/club-3090")
    assert "0.042 to 0.063" in int4.quality
    assert fp8.measured.startswith("1.40 times measured (Llama 3.1 8B on an H200")
    assert int4.measured.startswith("1.24 times measured")


def test_the_settings_are_those_of_a_profile_that_works() -> None:
    for choice in _choices():
        data = {"description": "d", "model": LLAMA, "hardware": {"gpu": "rtx4090"}} | choice.settings
        made = make("x", profile.parse(data, "x"))
        assert made.engines[0].budget.weights_gib == pytest.approx(choice.read_gib)


def test_of_a_mixture_a_token_reads_a_part() -> None:
    (fp8, *_) = _choices("Qwen/Qwen3.5-35B-A3B", "h100")
    assert fp8.read_gib < 6


def test_where_no_checkpoint_is_known_it_is_made_while_loading() -> None:
    (choice,) = _choices("Qwen/Qwen3-1.7B")
    assert choice.settings == {"weights": "fp8"}


def test_what_nobody_measured_is_not_said_to_be() -> None:
    nvfp4 = next(one for one in _choices("Qwen/Qwen3.6-27B", "h100") if one.title.startswith("nvfp4"))
    assert nvfp4.measured == "" and "0.06 to 0.19" in nvfp4.quality


@pytest.mark.parametrize(
    "changes",
    [
        {"users": 5},
        {"goal": "throughput"},
        {"weights": "fp8"},
        {"model": "RedHatAI/Meta-Llama-3.1-8B-Instruct-FP8"},
        {"engine": {"args": {"quantization": "fp8"}}},
        {"model": "tiny", "hardware": {"cpu": {"kv_cache_gib": 1}}},
    ],
)
def test_for_others_nothing_is_said(changes: dict[str, Any]) -> None:
    assert _choices(**changes) == ()
