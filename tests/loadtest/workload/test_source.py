"""Places, and options of sources."""

from __future__ import annotations

from argparse import ArgumentTypeError

import pytest

from loadtest.workload.source import Place, SourceOption, whole_number


def test_no_two_places_of_a_run_have_one_label() -> None:
    places = [Place(stage, n, 5, i) for stage in ("1-1", "1-2", "warmup-1-1") for n in range(5) for i in range(3)]
    assert len({place.label for place in places}) == len(places)


def test_an_option_is_found_by_its_flag() -> None:
    assert SourceOption("--data-set", "FILE", "a file").name == "data_set"


@pytest.mark.parametrize("text", ["0", "-1", "x", "", "1.5", "9" * 8])
def test_what_is_no_whole_number_is_refused(text: str) -> None:
    assert whole_number("7") == 7
    with pytest.raises(ArgumentTypeError, match="not a whole number of at least 1"):
        whole_number(text)
