"""Which source a command line chooses; a further one is a line in the table."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

import pytest

from loadtest.core.errors import UsageProblem
from loadtest.workload import registry
from loadtest.workload.registry import make_source, source_options
from loadtest.workload.schema import WorkloadFile, read_workload
from loadtest.workload.source import SourceEntry, SourceOption
from loadtest.workload.synthetic import Synthetic, plain


def trace(_: WorkloadFile, options: Namespace) -> Synthetic:
    return plain(len(options.trace), options.trace_speed or 1)


TRACE = SourceEntry(trace, [SourceOption("--trace", "FILE", "a trace"), SourceOption("--trace-speed", "X", "x", int)])
OTHER = SourceEntry(trace, [SourceOption("--other", "FILE", "another")])


def options(**given: Any) -> Namespace:
    return Namespace(max_tokens=None, prompt_tokens=None, **given)


@pytest.fixture
def further(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "SOURCES", {**registry.SOURCES, "trace": TRACE, "other": OTHER})


def test_without_an_option_of_a_source_requests_are_made_up_from_the_workload() -> None:
    made = make_source(read_workload("seed"), options())
    assert isinstance(made, Synthetic) and made.name == "seed"


@pytest.mark.usefixtures("further")
def test_a_further_source_is_chosen_by_its_first_option_and_has_its_others() -> None:
    assert {"--trace", "--trace-speed", "--other"} <= {option.flag for option in source_options()}
    assert make_source(read_workload("seed"), options(trace="12345", trace_speed=9)) == plain(5, 9)


@pytest.mark.usefixtures("further")
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"trace": "a", "other": "b"}, "--trace and --other do not go together"),
        ({"trace_speed": 2}, "--trace-speed needs --trace"),
        ({"other": "b", "trace_speed": 2}, "--trace-speed needs --trace"),
    ],
)
def test_options_of_two_sources_are_refused(given: dict[str, Any], expected: str) -> None:
    with pytest.raises(UsageProblem, match=expected):
        make_source(read_workload("seed"), options(**given))
