"""What can draft for a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from fullbatch import catalog
from fullbatch.catalog import config_json, drafts
from fullbatch.catalog.measured import Measured

QWEN = "Qwen/Qwen3.6-27B"


@pytest.mark.parametrize(
    ("name", "gib"),
    [
        (QWEN, 0.79),  # vllm issue 55533 has 0.9 GB for it
        ("Qwen/Qwen3.6-27B-FP8", 0.79),
        ("Qwen/Qwen3.5-35B-A3B", 1.6),  # a layer of 256 experts
        ("deepseek-ai/DeepSeek-V3.2", 21.6),
        ("Qwen/Qwen3-8B", 0.0),
        ("google/gemma-4-31B-it", 0.0),
    ],
)
def test_the_head_of_a_model(name: str, gib: float) -> None:
    assert catalog.models()[name].head_gib == pytest.approx(gib, rel=0.04)


def _parsed(**changes: object) -> catalog.Model:
    data = {
        "architectures": ["Glm4MoeLiteForCausalLM"], "model_type": "glm4_moe_lite", "num_nextn_predict_layers": 1,
    } | changes  # fmt: skip
    return config_json.parse(data, Path("somewhere") / "config.json", Measured())


def test_a_config_says_whether_there_is_one() -> None:
    assert _parsed().head_gib > 0
    assert _parsed(num_nextn_predict_layers=0).head_gib == 0
    assert _parsed(num_nextn_predict_layers=None).head_gib == 0


def test_a_family_whose_heads_the_engine_does_not_load_has_none() -> None:
    said = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "num_nextn_predict_layers": 1,
            "hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 2}  # fmt: skip
    assert config_json.parse(said, Path("somewhere") / "config.json", Measured()).head_gib == 0


def test_every_draft_belongs_to_a_model_of_the_catalog() -> None:
    assert set(drafts.eagle3()) | set(drafts.assistants()) <= set(catalog.models())
    assert all(catalog.models()[name].precision in ("bf16", "mxfp4") for name in drafts.eagle3())


def test_each_figure_has_a_source() -> None:
    for name in ("dense", "experts", "small", "load", "ngram"):
        assert drafts.figure(name).text and drafts.figure(name).source
    assert drafts.tokens("mtp") == 3 and drafts.tokens("assistant") == 4 and drafts.assistant_gib() == 0.9
