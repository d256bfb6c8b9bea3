"""What an engine's KV cache is expected to need: sums by hand, then whole runs against an engine in virtual time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.engines.kv_occupancy import Hold, Occupancy
from gateway.engines.vllm_metrics import Report


class Seen:
    def __init__(self, events: int) -> None:
        self.events = events


def hold(prompt: float, output: float, written: int = 0, most: float = 1e9) -> Hold:
    made = Hold(prompt, output, most, 0.0, 0.0)
    made.progress = Seen(written)
    return made


def occupied(*holds: Hold, capacity: int = 1000) -> Occupancy:
    made = Occupancy(capacity)
    for each in holds:
        made.add(each)
    return made


def report(usage: float = 0.0, running: int = 1, waiting: int = 0, preemptions: int = 0, generated: int = 0) -> Report:
    return Report(running, waiting, usage, 0, generated, 0, preemptions)


def test_the_peak_is_the_highest_sum_to_come_and_not_the_sum_of_all_ends() -> None:
    """Two that are nearly done are gone before the third has grown."""
    ending, begun = (hold(100, 100, written=98) for _ in range(2)), hold(100, 100)
    assert occupied(*ending, begun).peak(0) == 499  # all three, two steps from now
    assert occupied(hold(100, 100), hold(100, 100)).peak(0) == pytest.approx(398)


@given(st.lists(st.tuples(st.integers(1, 500), st.integers(1, 500), st.integers(0, 600)), max_size=12))
def test_the_peak_is_what_step_by_step_comes_out(shapes: list[tuple[int, int, int]]) -> None:
    holds = [hold(prompt, output, written) for prompt, output, written in shapes]
    lines = [(each.prompt + w, each.remaining(w)) for each, (_, _, w) in zip(holds, shapes, strict=True)]
    worst = 0.0
    for end in sorted({0.0, *(remaining for _, remaining in lines)}):
        worst = max(worst, sum(now + end for now, remaining in lines if remaining >= end))
    assert occupied(*holds).peak(0) == pytest.approx(worst, abs=2 * len(holds))  # in whole tokens, the last one not yet


@pytest.mark.parametrize(("tokens", "blocks"), [(128, 1), (129, 1), (130, 2), (257, 2), (258, 3)])
def test_the_peak_is_in_whole_blocks(tokens: int, blocks: int) -> None:
    one = occupied(hold(64, tokens - 64), hold(64, tokens - 64), capacity=100_000)
    one.observe(Report(2, 0, 0, 0, 0, 0, 0, kv_tokens=100_000, block_tokens=128), 0)
    assert one.peak(0) == 2 * 128 * blocks


def test_p110_there_is_room_while_the_peak_stays_within_the_cache() -> None:
    one = occupied(hold(300, 100), hold(300, 100))
    assert one.has_room(90, 100, 1.0, 0)
    assert not one.has_room(150, 100, 1.0, 0)
    assert not one.has_room(90, 100, 0.875, 0)


def test_p110_an_empty_engine_has_room_for_anything() -> None:
    assert Occupancy(100).has_room(10_000, 10_000, 0.875, 0)
    assert not occupied(hold(1, 1), capacity=100).has_room(10_000, 10_000, 1.0, 0)


def test_p110_a_long_prompt_may_wait_in_the_engine_so_that_it_begins_at_once() -> None:
    full = occupied(*(hold(450, 16) for _ in range(4)), capacity=2000)
    assert full.has_room(450, 16, 1.0, 0)
    full.add(hold(450, 16))
    assert not full.has_room(450, 16, 1.0, 0)
    assert not occupied(*(hold(450, 16) for _ in range(4)), capacity=2000).has_room(200, 200, 1.0, 0)  # would grow
    assert not occupied(*(hold(430, 90) for _ in range(4)), capacity=2000).has_room(450, 16, 1.0, 0)  # these would


def test_one_that_wrote_more_than_was_expected_goes_on_for_a_while() -> None:
    late = hold(100, 50, written=400)
    assert late.remaining(400) == 100
    assert hold(100, 50, written=400, most=410).remaining(400) == 10
    assert hold(100, 0, most=0).remaining(0) == 0


def test_p110_preemptions_keep_a_part_of_the_cache_free_for_a_while() -> None:
    one = occupied(hold(300, 100))
    one.observe(report(preemptions=5), 1)  # before our time
    assert one.usable == 1000
    one.observe(report(running=1, preemptions=7), 2)
    assert one.usable < 940
    low = one.usable
    for second in range(60):
        one.observe(report(preemptions=7), 3 + second)
    assert low < one.usable < 1000
    for second in range(100):
        one.observe(report(running=1, preemptions=8 + second), 100 + second)
    assert one.usable == 500


def test_p110_preemptions_of_others_requests_are_not_ours_to_take_back() -> None:
    none, few = Occupancy(1000), occupied(hold(10, 10))
    for one in (none, few):
        one.observe(report(preemptions=0, running=40), 1)
        one.observe(report(preemptions=40, running=40), 2)
    assert none.margin == 0 and 0 < few.margin < 0.03


def test_p110_prompts_that_share_their_beginning_take_less_and_so_more_are_let_in() -> None:
    one = occupied(*(hold(2000, 300, written=10) for _ in range(5)), capacity=9000)
    assert not one.has_room(2000, 100, 1.0, 0)
    for second in range(10):
        one.observe(report(usage=0.25, running=5), second)
    assert one.scale == pytest.approx(0.22, abs=0.02)
    assert one.has_room(2000, 100, 1.0, 0)


@pytest.mark.parametrize("odd", [0.4, 1.0])
def test_one_odd_poll_does_not_move_the_scale(odd: float) -> None:
    """A page made before requests ended, and read after: raised by each such poll the scale closed half of a cache."""
    one = occupied(*(hold(2000, 100, written=10) for _ in range(4)), capacity=9000)
    for second in range(9):
        usage = odd if second % 3 == 1 else 8040 / 9000
        one.observe(report(usage=usage, running=4), second)
        assert one.scale == pytest.approx(1.0, abs=0.01)


def test_what_waits_in_the_engine_holds_nothing_yet() -> None:
    one = occupied(hold(2000, 100, written=10), *(hold(2000, 100) for _ in range(9)), capacity=4000)
    for second in range(10):
        one.observe(report(usage=0.5, running=1, waiting=9), second)
    assert one.scale == pytest.approx(1.0, abs=0.02)


def test_others_requests_take_of_the_cache_what_they_need() -> None:
    one = occupied(hold(100, 100, written=10))
    one.observe(report(usage=0.8, running=4), 0)
    assert one.usable == 1000  # one poll may have come between two of ours
    one.observe(report(usage=0.8, running=4), 1)
    assert one.usable == pytest.approx(400)


def test_an_answer_that_is_no_stream_is_reckoned_by_the_engines_pace() -> None:
    blind = Hold(100, 200, 1e9, 0.0, 0.0)
    one = occupied(blind)
    one.observe(report(running=1, generated=0), 1)
    one.observe(report(running=1, generated=50), 2)
    assert one.peak(2) == pytest.approx(299)
    assert blind.written(2, 50) == 100 and blind.written(99, 50) == 200


@given(
    st.lists(
        st.tuples(st.floats(0, 1), st.integers(0, 60), st.integers(0, 60), st.integers(0, 99), st.integers(0, 5000)),
        max_size=30,
    ),
    st.lists(st.tuples(st.integers(0, 9000), st.integers(0, 900), st.integers(0, 2000)), max_size=10),
)
def test_whatever_is_reported_its_numbers_stay_sound(
    polls: list[tuple[float, int, int, int, int]], shapes: list[tuple[int, int, int]]
) -> None:
    one = occupied(*(hold(*shape) for shape in shapes))
    for second, (usage, running, waiting, preemptions, generated) in enumerate(polls):
        one.observe(report(usage, running, waiting, preemptions, generated), second / 7)
        assert 0.05 <= one.scale <= 4 and 0 <= one.margin <= 0.5 and 0 <= one.usable <= 1000
        assert one.peak(second) >= 0
    for each in tuple(one.holds):
        one.remove(each)
    assert one.has_room(1, 1, 1.0, 0) or one.usable < 1000
