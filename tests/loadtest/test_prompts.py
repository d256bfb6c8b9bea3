"""Prompts and request bodies."""

from __future__ import annotations

import os
from os.path import commonprefix

import orjson
from hypothesis import given
from hypothesis import strategies as st

from loadtest.prompts import Workload, words_for

ONE = Workload("tiny", max_tokens=64, words=100, nonce="one")


def test_no_two_prompts_share_a_beginning() -> None:
    prompts = [ONE.prompt(f"{user}-{index}") for user in range(50) for index in range(4)]
    assert len({prompt[:8] for prompt in prompts}) == 200
    assert len(commonprefix(prompts[:2])) < 8


def test_another_run_has_other_prompts_and_the_same_run_the_same() -> None:
    other = Workload("tiny", max_tokens=64, words=100, nonce="two")
    assert ONE.prompt("a") != other.prompt("a")
    assert ONE.prompt("a") == ONE.prompt("a")
    assert len(ONE.prompt("a").split()) == 100


def test_the_output_length_is_fixed_and_usage_is_asked_for() -> None:
    body = orjson.loads(ONE.body("a"))
    assert (body["max_tokens"], body["min_tokens"], body["ignore_eos"]) == (64, 64, True)
    assert body["stream"] is True and body["stream_options"] == {"include_usage": True}
    assert orjson.loads(ONE.body("a", max_tokens=8))["min_tokens"] == 8
    assert "seed" not in body and os.sep not in body["model"]


@given(st.integers(1, 8), st.integers(0, 60), st.integers(100, 4000))
def test_the_number_of_words_follows_the_tokenizer(per_word: int, overhead: int, target: int) -> None:
    words = words_for(target, (8, 8 * per_word + overhead), (40, 40 * per_word + overhead))
    assert abs(words * per_word + overhead - target) <= per_word


def test_a_server_that_counts_nonsense_gets_one_word_a_token() -> None:
    assert words_for(128, (8, 50), (40, 50)) == 128
