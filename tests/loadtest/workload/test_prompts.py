"""Prompts and request bodies."""

from __future__ import annotations

import os
from os.path import commonprefix
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.workload.prompts import Prompts, line_through, plain, spread
from loadtest.workload.schema import RequestKind

ONE = plain("tiny", 100, 64, nonce="one")
[SHORT] = ONE.kinds
RAG = RequestKind(name="rag", system_tokens=50, document_tokens=200, documents=3, prompt_tokens=20, output_tokens=8)


def prompt(prompts: Prompts, label: str) -> str:
    return prompts.opening(prompts.kinds[0], label)[-1]["content"]


def body(prompts: Prompts, **more: Any) -> dict[str, Any]:
    kind = prompts.kinds[0]
    made: dict[str, Any] = orjson.loads(prompts.body(prompts.opening(kind, "a"), kind, **more))
    return made


def test_no_two_prompts_share_a_beginning() -> None:
    prompts = [prompt(ONE, f"{user}-{index}") for user in range(50) for index in range(4)]
    assert len({prompt[:8] for prompt in prompts}) == 200
    assert len(commonprefix(prompts[:2])) < 8


def test_another_run_has_other_prompts_and_the_same_run_the_same() -> None:
    other = plain("tiny", 100, 64, nonce="two")
    assert prompt(ONE, "a") != prompt(other, "a")
    assert prompt(ONE, "a") == prompt(ONE, "a")
    assert len(prompt(ONE, "a").split()) == 100


def test_sides_get_the_same_words_but_none_finds_the_others_in_a_cache() -> None:
    left, right = (prompt(Prompts("tiny", (SHORT,), "one", salt), "a").split() for salt in ("a", "b"))
    assert left[1:] == right[1:]
    assert left[0][:4] != right[0][:4]


def test_what_is_shared_on_purpose_is_the_same_for_everybody() -> None:
    prompts = Prompts("tiny", (RAG,), "one")
    talks = [prompts.opening(RAG, str(number)) for number in range(60)]
    assert {talk[0]["role"] for talk in talks} == {"system"} and len({talk[0]["content"] for talk in talks}) == 1
    documents, questions = zip(*(talk[1]["content"].split("\n\n") for talk in talks), strict=True)
    assert len(set(documents)) == 3 and {len(document.split()) for document in documents} == {200}
    assert len(set(questions)) == 60 and {len(question.split()) for question in questions} == {20}


def test_the_output_length_is_fixed_and_usage_is_asked_for() -> None:
    made = body(ONE)
    assert (made["max_tokens"], made["min_tokens"], made["ignore_eos"]) == (64, 64, True)
    assert made["stream"] is True and made["stream_options"] == {"include_usage": True}
    assert body(ONE, max_tokens=8)["min_tokens"] == 8
    assert "seed" not in made and os.sep not in made["model"]


def test_a_kind_without_an_exact_length_sends_openais_fields_alone() -> None:
    free = Prompts("tiny", (SHORT.model_copy(update={"exact_length": False}),), "one")
    assert not {"min_tokens", "ignore_eos"} & body(free).keys()


@given(st.integers(1, 8), st.integers(0, 60), st.integers(100, 4000))
def test_the_number_of_words_follows_the_tokenizer(per_word: int, overhead: int, target: int) -> None:
    tokens_per_word, template = line_through((8, 8 * per_word + overhead), (40, 40 * per_word + overhead))
    prompts = Prompts("tiny", (SHORT,), "one", tokens_per_word=tokens_per_word, overhead_tokens=template)
    words = prompts.words(target - prompts.overhead_tokens)
    assert abs(words * per_word + overhead - target) <= max(per_word, 2 * per_word + overhead - target)


def test_a_server_that_counts_nonsense_gets_one_word_a_token() -> None:
    assert line_through((8, 50), (40, 50)) == (1.0, 0.0)


@pytest.mark.parametrize(("weights", "counts"), [((3, 1), {4: (3, 1), 12: (9, 3), 5: (4, 1)}), ((1, 1), {3: (2, 1)})])
def test_kinds_come_in_proportion_at_every_length(weights: tuple[int, int], counts: dict[int, tuple[int, int]]) -> None:
    kinds = [
        SHORT.model_copy(update={"name": name, "weight": weight}) for name, weight in zip("ab", weights, strict=True)
    ]
    for count, (first, second) in counts.items():
        names = [kind.name for kind in spread(kinds, count)]
        assert (names.count("a"), names.count("b")) == (first, second)
