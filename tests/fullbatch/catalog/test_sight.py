"""What a picture costs the models of the catalog."""

from __future__ import annotations

import pytest

from fullbatch import catalog
from fullbatch.catalog import sight


@pytest.mark.parametrize(
    ("model", "tokens", "side", "scaled"),
    [
        ("Qwen/Qwen3-VL-8B-Instruct", 16_384, 32, True),
        ("Qwen/Qwen3.6-27B", 16_384, 32, True),
        ("google/gemma-3-4b-it", 256, 0, False),
        ("google/gemma-4-12B-it", 280, 0, False),
    ],
)
def test_models_that_see(model: str, tokens: int, side: int, scaled: bool) -> None:
    found = catalog.models()[model].sight
    assert found and found.known
    assert (found.tokens, found.side, found.scaled) == (tokens, side, scaled)
    assert found.gib < 1.5


@pytest.mark.parametrize("model", ["tiny", "Qwen/Qwen3-8B", "meta-llama/Llama-3.1-8B-Instruct", "openai/gpt-oss-20b"])
def test_models_that_do_not(model: str) -> None:
    assert catalog.models()[model].sight is None


def test_mistral_ends_each_row_with_a_token() -> None:
    whole = {"model_type": "mistral3", "spatial_merge_size": 2, "vision_config": {"patch_size": 14, "image_size": 1540}}
    assert sight.read(whole, 10**9) == sight.Sight(10**9 * 2 / 2**30, 55 * 56, 28)


def test_one_that_is_not_known_is_guessed() -> None:
    found = sight.read({"model_type": "other", "vision_config": {"patch_size": 14}}, 10**9)
    assert found and not found.known and found.tokens == 1000


def test_one_that_only_hears() -> None:
    assert sight.read({"model_type": "other", "audio_config": {"x": 1}}, 10**9) is None
