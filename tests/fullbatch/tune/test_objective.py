"""What a boot is worth, and how many loads that takes."""

from __future__ import annotations

import math

import pytest

from fullbatch.tune.bench import MeasuredLoad, RaceLoad
from fullbatch.tune.objective import People, Tokens, alone
from tests.fullbatch.tune.benches import KnownBench

PEOPLE = People({"ttft_p95_ms": 1000.0}, most=256)


@pytest.mark.parametrize("truth", [1.0, 1.7, 2.0, 9.5, 40.0, 199.0])
@pytest.mark.parametrize("guess", [None, math.log(20)])
def test_people_are_found_between_the_loads_around_them(truth: float, guess: float | None) -> None:
    bench = KnownBench({"plan": truth}, boot_sd=0, load_sd=0)
    score = PEOPLE.score(bench.boot("plan"), False, guess)
    assert math.exp(score.value) == pytest.approx(truth, rel=0.02)
    assert score.shown == pytest.approx(math.floor(truth), abs=truth * 0.13)
    assert bench.loads <= 8


def test_a_good_guess_takes_few_loads() -> None:
    bench = KnownBench({"plan": 41.0}, boot_sd=0, load_sd=0)
    PEOPLE.score(bench.boot("plan"), False, math.log(40))
    assert bench.loads <= 4


def test_a_promise_that_all_keep_is_capped_and_one_that_nobody_keeps_is_0_people() -> None:
    bench = KnownBench({"many": 9000.0, "none": 0.5}, boot_sd=0, load_sd=0)
    assert PEOPLE.score(bench.boot("many"), False, None).capped
    none = PEOPLE.score(bench.boot("none"), False, None)
    assert (none.shown, none.value < 0) == (0, True)


def test_requests_without_an_answer_keep_no_promise() -> None:
    assert PEOPLE.margin(MeasuredLoad({"ttft_p95_ms": 1.0}, failures=1)) > 0
    assert PEOPLE.margin(MeasuredLoad({"ttft_p95_ms": 1.0})) < 0


def test_the_worst_figure_decides() -> None:
    both = People({"ttft_p95_ms": 1000.0, "itl_p95_ms": 50.0}, most=8)
    assert both.margin(MeasuredLoad({"ttft_p95_ms": 100.0, "itl_p95_ms": 100.0})) == pytest.approx(math.log(2))


class _Asked:
    def __init__(self) -> None:
        self.loads: list[RaceLoad] = []

    def measure(self, load: RaceLoad) -> MeasuredLoad:
        self.loads.append(load)
        return MeasuredLoad({"output_tokens_per_s": 50.0})

    def end(self) -> None: ...


def test_tokens_are_of_one_load() -> None:
    asked = _Asked()
    assert Tokens(30).score(asked, True, None).shown == 50.0
    assert alone().score(asked, False, None).value == math.log(50)
    assert asked.loads == [RaceLoad(30, True), RaceLoad(1, False)]
