"""Names with and without a tag, and cards."""

from __future__ import annotations

import pytest

from gateway.config.settings import EngineSettings
from gateway.dialects import ollama_models


def engine() -> EngineSettings:
    return EngineSettings(
        name="e", url="http://e:1", models=("tiny",), max_num_seqs=1, max_num_batched_tokens=1, max_model_len=8192,
        kv_cache_tokens=1, capabilities=("completion", "tools"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "known", "found"),
    [
        ("tiny", ["tiny"], "tiny"),
        ("tiny:latest", ["tiny"], "tiny"),
        ("tiny", ["tiny:latest"], "tiny:latest"),
        ("tiny:latest", ["tiny", "tiny:latest"], "tiny:latest"),
        ("tiny:7b", ["tiny"], "tiny:7b"),
        ("org/tiny:latest", ["org/tiny"], "org/tiny"),
        ("", ["tiny"], ""),
    ],
)
def test_latest_is_what_is_meant_without_a_tag(asked: str, known: list[str], found: str) -> None:
    assert ollama_models.resolve(asked, known) == found


def test_cards_have_a_tag_and_say_what_is_known() -> None:
    cards = ollama_models.tags({"tiny": engine(), "big:7b": engine()}, "2026-01-01T00:00:00+00:00")["models"]
    assert [card["name"] for card in cards] == ["tiny:latest", "big:7b"]
    assert len({card["digest"] for card in cards}) == 2
    assert cards[0]["details"]["context_length"] == 8192


def test_what_a_model_can_do_is_what_the_settings_say() -> None:
    shown = ollama_models.show("tiny", engine(), "2026-01-01T00:00:00+00:00")
    assert shown["capabilities"] == ["completion", "tools"]
    architecture = shown["model_info"]["general.architecture"]
    assert shown["model_info"][f"{architecture}.context_length"] == 8192
