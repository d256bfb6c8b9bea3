"""The one estimate of what a request needs, and what it learns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.admission.estimates import (
    FIRST_GUESS_BOUNDED,
    FIRST_GUESS_TOKENS,
    QUANTILE,
    REMEMBERED,
    AnswerLengths,
    Estimates,
)
from gateway.core.call import Call, Usage


def call(prompt: int = 100, output: int | None = None, model: str = "m") -> Call:
    return Call(model, True, b"/", b"", prompt_tokens=prompt, output_tokens=output)


def expected(estimates: Estimates, key: str = "a", prompt: int = 100, output: int | None = None) -> Call:
    made = call(prompt, output)
    estimates.estimate(key, made)
    return made


def learn(estimates: Estimates, made: Call, prompt: int, output: int, key: str = "a", exact: bool = True) -> None:
    estimates.estimate(key, made)
    estimates.learn(key, made, Usage(prompt, output, exact=exact))


@pytest.mark.parametrize(
    ("bound", "guess"), [(None, FIRST_GUESS_TOKENS), (16, 16), (256, 256), (4096, FIRST_GUESS_BOUNDED), (0, 0)]
)
def test_p110_the_first_guess_is_a_chats_answer_or_the_bound(bound: int | None, guess: int) -> None:
    assert expected(Estimates(), output=bound).expected_output == guess


def test_p110_a_key_is_expected_to_write_what_it_wrote_lately() -> None:
    estimates = Estimates()
    for _ in range(20):
        learn(estimates, call(), 100, 40)
        learn(estimates, call(), 100, 900, key="b")
    assert expected(estimates, "a").expected_output == 40
    assert expected(estimates, "b").expected_output == 900
    assert expected(estimates, "new").expected_output in (40, 900)  # as everybody's


def test_p110_answers_with_another_bound_are_of_another_kind() -> None:
    estimates = Estimates()
    for _ in range(20):
        learn(estimates, call(output=16), 100, 16)
        learn(estimates, call(output=512), 100, 300)
    assert expected(estimates, output=16).expected_output == 16
    assert expected(estimates, output=600).expected_output == 300
    assert expected(estimates).expected_output == FIRST_GUESS_TOKENS


def test_never_more_than_the_request_allows() -> None:
    estimates = Estimates()
    for _ in range(20):
        learn(estimates, call(output=1023), 100, 1000)
    assert expected(estimates, output=600).expected_output == 600


def test_d3_embeddings_cost_no_answer_and_teach_nothing_about_one() -> None:
    estimates = Estimates()
    for _ in range(60):
        learn(estimates, call(output=0), 10, 0)
    assert expected(estimates, output=0).expected_output == 0
    assert expected(estimates).expected_output == FIRST_GUESS_TOKENS


def test_an_answer_that_was_cut_short_says_nothing() -> None:
    estimates = Estimates()
    for _ in range(20):
        learn(estimates, call(), 100, 1, exact=False)
    assert expected(estimates).expected_output == FIRST_GUESS_TOKENS
    assert expected(estimates, prompt=1000).prompt_tokens == 1000


def test_p110_a_prompt_is_counted_as_this_models_prompts_were() -> None:
    """Four bytes a token is English; of code or Chinese a token is less."""
    estimates = Estimates()
    for _ in range(5):
        learn(estimates, call(1000), 2500, 10)
    made = expected(estimates, prompt=400)
    assert (made.prompt_tokens, made.sized_tokens) == (1000, 400)
    other = call(400, model="other")
    estimates.estimate("a", other)
    assert other.prompt_tokens == 400


def test_what_costs_no_prompt_changes_nothing() -> None:
    """Counting tokens is a request without any."""
    estimates = Estimates()
    learn(estimates, call(0, 0), 900, 0)
    assert expected(estimates, prompt=100).prompt_tokens == 100


def test_kinds_are_bounded() -> None:
    estimates = Estimates()
    for number in range(6000):
        learn(estimates, call(), 100, 5, key=f"key-{number}")
    assert len(estimates) <= 4096
    assert expected(estimates, "somebody").expected_output == 5


@given(lengths=st.lists(st.integers(0, 10_000), min_size=1, max_size=200))
def test_the_quantile_is_of_the_last_ones(lengths: list[int]) -> None:
    known = AnswerLengths()
    for length in lengths:
        known.add(length)
    last = sorted(lengths[-REMEMBERED:])
    assert len(known) == len(last)
    assert known.expected() == last[min(len(last) - 1, int(len(last) * QUANTILE))]


@given(bounds=st.lists(st.integers(64, 127), min_size=4, max_size=200))
def test_p110_who_writes_to_the_bound_is_expected_to_do_so_whatever_it_is(bounds: list[int]) -> None:
    known = AnswerLengths()
    for bound in bounds:
        known.add(bound, bound)
    assert [known.expected(bound) for bound in (64, 100, 127)] == [64, 100, 127]
    for _ in range(REMEMBERED):
        known.add(70, 127)
    assert known.expected(127) == 70
