"""What Locust's page climbs, and what is wrong with its form."""

from __future__ import annotations

import pytest

from loadtest.core.errors import UsageProblem
from loadtest.live.stage_shape import StageShape, fault, step_users, steps


def test_steps_are_users_with_commas_between_and_nonsense_is_one_line() -> None:
    assert [steps(text) for text in ("1,5,10,50", " 3 ", "50, 1")] == [[1, 5, 10, 50], [3], [50, 1]]
    for text in ("", "many", "0", "1,,5", "1;5", "-1", "1.5", "9" * 5000, "99999999"):
        with pytest.raises(UsageProblem, match="is not a list of whole numbers of at least 1, such as 1,5,10,50"):
            steps(text)


def test_the_number_of_users_is_the_last_step() -> None:
    assert step_users("1,5,10,50", None) == (1, 5, 10, 50)
    assert step_users("1,5,10,50", 50) == (1, 5, 10, 50)
    assert step_users("1,5,10,50", 20) == (1, 5, 10, 20)
    assert step_users("1,5,10,50", 100) == (1, 5, 10, 50, 100)
    assert step_users("1,5,10,50", 1) == (1,)


def test_a_step_lasts_its_seconds_and_the_run_ends_after_the_last() -> None:
    runner = StageShape((1, 5), 10, 2.0)
    assert [runner.at(s) for s in (0, 9.9, 10, 19.9, 20)] == [(1, 2.0), (1, 2.0), (5, 2.0), (5, 2.0), None]


def test_a_run_time_ends_the_run_or_prolongs_its_last_step() -> None:
    assert [StageShape((1, 5), 10, 2.0, 15).at(s) for s in (12, 15)] == [(5, 2.0), None]
    assert [StageShape((1, 5), 10, 2.0, 60).at(s) for s in (25, 59, 60)] == [(5, 2.0), (5, 2.0), None]


@pytest.mark.parametrize(
    ("name", "values", "label"),
    [
        ("user_count", ["0", "-1", "many", "", "1.5", "9" * 5000], "Number of users"),
        ("stage_seconds", ["0", "x"], "Stage Seconds"),
        ("max_tokens", ["-1", "x"], "Max Tokens"),
        ("prompt_tokens", ["-1"], "Prompt Tokens"),
        ("spawn_rate", ["0", "nan", "inf", "-1", "x", "1e999"], "Ramp up"),
        ("steps", ["", "x", "0"], "Steps"),
    ],
)
def test_a_field_that_cannot_be_is_named_as_the_page_has_it(name: str, values: list[str], label: str) -> None:
    for value in values:
        assert (fault({name: value}) or "").startswith(f"{label}: '{value}' is not ")


def test_good_fields_and_missing_ones_are_no_fault() -> None:
    good = {"user_count": "50", "spawn_rate": "0.5", "steps": "1,5", "stage_seconds": "30", "max_tokens": "0"}
    assert fault(good) is None and fault({}) is None
