"""What boots say of each arm."""

from __future__ import annotations

import math

import pytest

from fullbatch.tune.objective import Score
from fullbatch.tune.standing import PLAN, BootScore, Kind, Standing


@pytest.fixture
def found() -> Standing:
    rows: list[tuple[str, int, Kind, float]] = [
        (PLAN, 1, "screening", 2.0), ("one", 1, "screening", 2.3), ("two", 1, "screening", 1.9),
        ("one", 2, "final", 2.4), (PLAN, 2, "final", 2.2), (PLAN, 3, "final", 2.1), ("one", 3, "final", 2.4),
        (PLAN, 4, "hold-out", 1.0), ("one", 4, "hold-out", 1.2),
    ]  # fmt: skip
    return Standing([BootScore(arm, number, kind, Score(value, value), 0.0) for arm, number, kind, value in rows])


def test_differences_are_of_rounds_that_have_both(found: Standing) -> None:
    assert found.differences("one", ("final",)) == pytest.approx([0.2, 0.3])
    assert found.differences("one", ("screening", "final"), since=3) == pytest.approx([0.3])
    assert found.differences("two", ("final",)) == []


def test_a_final_leaves_out_the_rounds_that_chose(found: Standing) -> None:
    assert found.final("one", ["one"], 2, 0.05).mean == pytest.approx(0.25)
    assert found.gain("one").mean == pytest.approx(0.8 / 3)


def test_the_load_kept_back_is_no_part_of_a_gain(found: Standing) -> None:
    held = found.held_out("one")
    assert held and held.mean == pytest.approx(0.2) and found.held_out("two") is None
    assert found.last("one") == 2.4
    assert found.shown("one") == pytest.approx(math.exp((2.3 + 2.4 + 2.4) / 3))


def test_raced_arms_come_by_their_mean(found: Standing) -> None:
    assert found.raced() == ["one", "two"]
    found.failed["one"] = "died"
    assert found.raced() == ["two"]
