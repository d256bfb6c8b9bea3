"""Frozen or only slow: engines told as a row of reports; with a clock that the test turns."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from gateway.engines.stall_detector import LONG_STEP, SILENT_FACTOR, SLOWEST_READING, StallDetector, Work
from gateway.engines.vllm_metrics import Report

AFTER_S = 10.0
STEP_TOKENS = 2048
IDLE = Report(0, 0, 0, 100, 1000, 5000, 0)
BUSY = replace(IDLE, running=3)
AT_WORK = Work(in_flight=3, blocked=0, last_byte_at=0, unread=0)
NO_WORK = Work(in_flight=0, blocked=0, last_byte_at=0, unread=0)


def judge() -> StallDetector:
    return StallDetector(AFTER_S, STEP_TOKENS, 0.0)


def frozen_at(
    stall_detector: StallDetector, begin: float, report: Report | None, work: Work, within: float = 400
) -> float | None:
    """Seconds from ``begin`` at which it is called frozen while nothing changes, polled once a second."""
    for second in range(int(within)):
        stall_detector.observe(begin + second, report, work)
        if stall_detector.frozen_for(begin + second) is not None:
            return second
    return None


def test_p86_work_and_no_sign_of_life_is_frozen() -> None:
    stall_detector = judge()
    stall_detector.observe(0, IDLE, NO_WORK)
    assert frozen_at(stall_detector, 1, BUSY, AT_WORK) == AFTER_S


def test_p86_a_front_end_that_is_silent_as_well_is_frozen_too_but_later() -> None:
    stall_detector = judge()
    stall_detector.observe(0, BUSY, AT_WORK)
    assert frozen_at(stall_detector, 1, None, AT_WORK) == SILENT_FACTOR * AFTER_S - 1


def test_p87_an_idle_engine_is_never_frozen() -> None:
    assert frozen_at(judge(), 0, IDLE, NO_WORK) is None


def test_p87_one_that_never_reported_is_left_to_the_time_limits() -> None:
    assert frozen_at(judge(), 0, None, AT_WORK) is None


def test_p87_clients_that_do_not_read_are_not_the_engines_fault() -> None:
    slow = Work(in_flight=0, blocked=3, last_byte_at=0, unread=0)
    assert frozen_at(judge(), 0, BUSY, slow) is None
    assert frozen_at(judge(), 0, replace(BUSY, running=4), slow) == AFTER_S


@given(which=st.sampled_from(["iterations", "generation_tokens", "prompt_tokens", "kv_usage", "waiting", "bytes"]))
def test_p87_anything_that_moves_is_life(which: str) -> None:
    """As while a long prompt is read: no token, but steps or the cache move; or an engine that reports late."""
    stall_detector = judge()
    for second in range(200):
        moved = second // 9
        report = BUSY if which == "bytes" else replace(BUSY, **{which: getattr(BUSY, which) + moved / 100})
        work = Work(3, 0, float(moved) if which == "bytes" else 0.0, 0)
        stall_detector.observe(second, report, work)
        assert stall_detector.frozen_for(second) is None


@given(unread=st.integers(0, 100_000))
def test_p87_a_long_step_may_take_the_time_that_its_prompt_needs(unread: int) -> None:
    stall_detector = judge()
    stall_detector.observe(0, IDLE, NO_WORK)
    at = frozen_at(stall_detector, 1, BUSY, Work(1, 0, 0, unread))
    expected = AFTER_S + min(unread, STEP_TOKENS) / SLOWEST_READING
    assert at is not None and expected <= at <= expected + 1


def test_p87_a_fast_engine_gets_less_time_for_it() -> None:
    stall_detector = judge()
    for second in range(5):
        stall_detector.observe(second, replace(BUSY, prompt_tokens=5000.0 + 10_000 * second), AT_WORK)
    stall_detector.observe(5, replace(BUSY, prompt_tokens=50_000), AT_WORK)
    assert stall_detector.patience < AFTER_S + 0.5
    assert frozen_at(stall_detector, 6, replace(BUSY, prompt_tokens=50_000), Work(1, 0, 0, 100_000)) == AFTER_S


def test_p87_a_slow_engine_is_not_taken_for_a_fast_one_when_its_prompts_end_together() -> None:
    """Two prompts of 4,000 tokens, read in 80 s, are both counted within the last second of them."""
    stall_detector = judge()
    stall_detector.observe(0, IDLE, NO_WORK)
    for second in range(1, 80):
        stall_detector.observe(second, replace(BUSY, kv_usage=second / 100), Work(2, 0, 0, 8000))
    stall_detector.observe(79.5, replace(BUSY, kv_usage=0.8, prompt_tokens=9000), Work(2, 0, 79, 4000))
    stall_detector.observe(80, replace(BUSY, kv_usage=0.8, prompt_tokens=13000), Work(2, 0, 80, 4000))
    assert stall_detector.patience >= AFTER_S + STEP_TOKENS / SLOWEST_READING


@given(seconds=st.integers(1, 50), speed=st.floats(1, 50_000))
def test_p87_the_speed_is_never_taken_for_more_than_it_was(seconds: int, speed: float) -> None:
    stall_detector = judge()
    stall_detector.observe(0, replace(BUSY, prompt_tokens=0), AT_WORK)
    for second in range(1, seconds + 1):
        stall_detector.observe(second, replace(BUSY, prompt_tokens=second * speed), Work(1, 0, second, 10**6))
    assert stall_detector.patience >= AFTER_S + STEP_TOKENS / max(SLOWEST_READING, speed) * 0.999


def test_p144_a_token_for_the_judge_is_a_sign_of_life() -> None:
    stall_detector = judge()
    stall_detector.observe(0, IDLE, NO_WORK)
    assert frozen_at(stall_detector, 1, BUSY, AT_WORK) == AFTER_S
    stall_detector.heard(12)
    assert stall_detector.frozen_for(12) is None
    assert frozen_at(stall_detector, 12, BUSY, AT_WORK) == AFTER_S


def test_p87_one_mistaken_for_frozen_gets_twice_the_time() -> None:
    stall_detector = judge()
    stall_detector.observe(0, IDLE, NO_WORK)
    slow = Work(1, 0, 0, LONG_STEP)
    first = frozen_at(stall_detector, 1, BUSY, slow)
    stall_detector.observe(50, BUSY, NO_WORK)  # its request was cut; the step goes on
    assert stall_detector.frozen_for(50) is not None
    after = replace(IDLE, iterations=BUSY.iterations + 1)
    stall_detector.observe(99, after, NO_WORK)
    stall_detector.observe(100, after, slow)
    second = frozen_at(stall_detector, 101, after, slow)
    assert first is not None and second is not None and second >= 2 * (AFTER_S + LONG_STEP / SLOWEST_READING) - 2


def test_p86_one_that_was_really_frozen_gets_no_more_time() -> None:
    stall_detector = judge()
    stall_detector.observe(0, IDLE, NO_WORK)
    assert frozen_at(stall_detector, 1, BUSY, AT_WORK) == AFTER_S
    after = replace(BUSY, generation_tokens=BUSY.generation_tokens + 3, iterations=BUSY.iterations + 1)
    stall_detector.observe(60, after, AT_WORK)
    assert stall_detector.frozen_for(60) is None
    assert frozen_at(stall_detector, 61, after, AT_WORK) == AFTER_S - 1


def test_work_that_comes_after_a_long_idle_time_has_its_time_from_then() -> None:
    stall_detector = judge()
    for second in range(100):
        stall_detector.observe(second, IDLE, NO_WORK)
    stall_detector.observe(100, IDLE, AT_WORK)
    assert stall_detector.frozen_for(100) is None


def test_a_new_process_begins_anew() -> None:
    stall_detector = judge()
    stall_detector.observe(0, BUSY, AT_WORK)
    stall_detector.forget(50)
    stall_detector.observe(51, None, AT_WORK)
    assert stall_detector.frozen_for(51) is None
