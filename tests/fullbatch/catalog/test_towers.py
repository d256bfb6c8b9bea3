from __future__ import annotations

from fullbatch.catalog import towers

VISION = {"hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27, "patch_size": 14, "image_size": 896}


def test_a_model_that_only_reads_has_none() -> None:
    assert towers.count({"text_config": {"hidden_size": 64}}, 64) == 0


def test_siglip_as_gemma_3_has_it() -> None:
    """0.42 billion (counted on the meta device)."""
    assert round(towers.count({"vision_config": VISION}, 5376) / 1e9, 2) == 0.42


def test_every_part_counts() -> None:
    both = {"vision_config": VISION, "audio_config": {"conf_num_hidden_layers": 12, "hidden_size": 1536}}
    assert towers.count(both, 2048) == towers.count({"vision_config": VISION}, 2048) + 12 * 24 * 1536**2


def test_several_patches_become_one() -> None:
    merged = VISION | {"spatial_merge_size": 2}
    more = towers.count({"vision_config": merged}, 4096) - towers.count({"vision_config": VISION}, 4096)
    assert more == 4608 * 4608 + 4608 * 4096 - 1152 * 4096


def test_a_table_of_n_grams() -> None:
    assert towers.table({"ngram_vocab_size_base": 1000, "hidden_size": 64}) == 64_000
    assert towers.table({"hidden_size": 64}) == 0
