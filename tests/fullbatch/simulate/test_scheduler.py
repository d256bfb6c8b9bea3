"""The rules of vLLM's scheduler: seats, a step's tokens, blocks, who is preempted."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from fullbatch.simulate.request import LoadRequest, SimulatedAnswer
from fullbatch.simulate.scheduler import Engine, Scheduler
from fullbatch.simulate.step_times import StepTimes
from tests.fullbatch.simulate.engines import engine


def play(kind: Engine, *asked: LoadRequest, most: int = 10_000) -> tuple[Scheduler, list[SimulatedAnswer]]:
    """All at once, to the end; tokens come at the numbers of their steps."""
    scheduler, answers = Scheduler(kind), [SimulatedAnswer(one, 0, 0.0) for one in asked]
    for answer in answers:
        scheduler.add(answer)
    for number in range(1, most):
        if scheduler.is_idle:
            return scheduler, answers
        scheduler.step()
        scheduler.finish(number)
    raise AssertionError("it does not end")


def test_a_prompt_is_read_in_pieces_of_a_steps_tokens() -> None:
    _, [answer] = play(engine(tokens=64), LoadRequest(200, 3))
    assert answer.tokens_at == [4, 5, 6]


def test_those_that_answer_go_on_while_a_prompt_is_read() -> None:
    _, [first, long] = play(engine(tokens=64), LoadRequest(10, 20), LoadRequest(500, 1))
    assert first.tokens_at == list(range(1, 21))
    # 54 tokens of the first step were left for it, and 63 of each later one.
    assert long.tokens_at == [9]


def test_more_than_its_seats_wait() -> None:
    scheduler, answers = play(engine(seats=2), *[LoadRequest(8, 4)] * 4)
    assert [answer.tokens_at[0] for answer in answers] == [1, 1, 5, 5]
    assert scheduler.batch_peak == 2


def test_nobody_is_let_in_whose_prompt_does_not_fit() -> None:
    scheduler, answers = play(engine(tokens=512, blocks=10), LoadRequest(96, 10), LoadRequest(96, 10))
    assert [answer.tokens_at[0] for answer in answers] == [1, 11]
    assert sum(answer.preempted for answer in answers) == 0 and scheduler.kv_peak == 0.7


def test_the_last_let_in_is_preempted_and_computes_all_anew() -> None:
    # 4 blocks: two prompts of 32 tokens fill them, and the first token more finds none.
    _, [first, last] = play(engine(tokens=512, blocks=4), LoadRequest(32, 20), LoadRequest(32, 20))
    assert (first.preempted, last.preempted) == (0, 1)
    assert first.tokens_at == list(range(1, 21))
    # The one that was preempted had a token, and goes on when the other has ended.
    assert last.tokens_at == [1, *range(21, 40)]


def test_what_is_cached_is_not_computed() -> None:
    _, [answer] = play(engine(tokens=64), LoadRequest(200, 1, cached=190))
    assert answer.tokens_at == [1]
    _, [whole] = play(engine(tokens=64), LoadRequest(200, 1, cached=200))
    assert whole.tokens_at == [1], "the last token of a prompt is always computed"


def test_a_step_is_told_what_is_in_it() -> None:
    seen = []

    class Watched(StepTimes):
        def step(self, rows: int, held: int, prompt_tokens: int) -> float:
            seen.append((rows, held, prompt_tokens))
            return 1.0

    play(engine(tokens=64, times=Watched(0, 0, 0, 0, 0, 0, 0)), LoadRequest(10, 3), LoadRequest(5, 1))
    assert seen == [(2, 0, 15), (1, 10, 0), (1, 11, 0)]


LENGTHS = st.tuples(st.integers(1, 90), st.integers(1, 60))


@settings(max_examples=60, deadline=None)
@given(st.lists(LENGTHS, min_size=1, max_size=12), st.integers(1, 6), st.integers(1, 100), st.integers(10, 30))
def test_every_token_comes_once_in_order_and_all_blocks_are_given_back(
    lengths: list[tuple[int, int]], seats: int, tokens: int, blocks: int
) -> None:
    scheduler, answers = play(engine(seats, tokens, blocks), *[LoadRequest(*one) for one in lengths])
    assert scheduler.free == blocks
    for answer in answers:
        assert len(answer.tokens_at) == answer.asked.output
        assert answer.tokens_at == sorted(set(answer.tokens_at))
    assert scheduler.batch_peak <= seats and scheduler.kv_peak <= 1
