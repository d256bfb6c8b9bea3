"""Student's t against the published table, and noise against what it was made with."""

from __future__ import annotations

import math
import random

import pytest

from fullbatch.tune import statistics
from fullbatch.tune.statistics import Noise


@pytest.mark.parametrize(
    ("degrees", "confidence", "published"),
    [(1, 0.95, 12.706), (2, 0.95, 4.303), (4, 0.99, 4.604), (10, 0.9, 1.812), (30, 0.999, 3.646), (120, 0.95, 1.980)],
)
def test_students_t_is_the_published_one(degrees: int, confidence: float, published: float) -> None:
    assert statistics.student(degrees, confidence) == pytest.approx(published, abs=6e-4)


def test_noise_is_what_arms_and_rounds_leave() -> None:
    chance = random.Random(1)
    rounds = [
        {f"arm{arm}": arm + 5 * number + chance.gauss(0, 0.1) for arm in range(12 if number < 30 else 3)}
        for number in range(60)
    ]
    found = statistics.noise(rounds)
    assert found.sd == pytest.approx(0.1, rel=0.1)
    assert found.degrees == 30 * 12 + 30 * 3 - 12 - 60 + 1


@pytest.mark.parametrize("rounds", [[], [{"plan": 1.0}], [{"plan": 1.0, "one": 2.0}], [{"plan": 1.0}, {"one": 2.0}]])
def test_one_boot_of_each_says_nothing_of_noise(rounds: list[dict[str, float]]) -> None:
    assert statistics.noise(rounds) == Noise(0.0, 0)
    assert statistics.interval([0.3], Noise(0.0, 0), 0.05).high == math.inf


def test_arms_of_one_boot_have_no_part_in_noise() -> None:
    both = [{"plan": 1.0, "one": 2.1}, {"plan": 1.2, "one": 2.0}]
    assert statistics.noise([both[0] | {"once": 9.0}, both[1]]) == statistics.noise(both)


def test_an_interval_is_as_often_wrong_as_it_says() -> None:
    chance, wrong = random.Random(2), 0
    for _ in range(2000):
        rounds = [{"plan": chance.gauss(0, 1), "one": chance.gauss(0.5, 1)} for _ in range(4)]
        found = statistics.interval([one["one"] - one["plan"] for one in rounds], statistics.noise(rounds), 0.1)
        wrong += not found.low <= 0.5 <= found.high
    assert 0.08 <= wrong / 2000 <= 0.12


def test_noise_of_two_loads_is_taken_together() -> None:
    assert statistics.joined(Noise(1.0, 1), Noise(2.0, 3)) == Noise(math.sqrt((1 + 12) / 4), 4)
    assert statistics.joined(Noise(0.0, 0), Noise(0.0, 0)).degrees == 0
