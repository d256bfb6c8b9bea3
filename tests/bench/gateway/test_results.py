"""Medians, ratios and differences: plain values in, plain values out."""

from __future__ import annotations

from bench.gateway.results import Figure, Results, Round


def a_round(ours: float, direct: float, foreign: float = 0.0) -> Round:
    return {
        "ours": {"c50": {"rps": ours, "foreign": foreign}},
        "direct": {"c50": {"rps": direct, "foreign": 0.0}},
    }


def test_a_figure_is_the_median_of_the_quiet_rounds() -> None:
    results = Results("here", [a_round(10, 1), a_round(30, 1), a_round(20, 1), a_round(999, 1, foreign=0.5)])
    assert results.figure("ours", "c50", "rps") == Figure(20, True)
    assert results.quiet_rounds("ours") == 3


def test_without_a_quiet_round_it_is_the_median_of_all_and_marked() -> None:
    results = Results("here", [a_round(10, 1, 0.5), a_round(30, 1, 0.5)])
    figure = results.figure("ours", "c50", "rps")
    assert figure == Figure(20, False)
    assert figure is not None
    assert figure.text(".0f") == "20~"


def test_a_ratio_is_taken_within_each_round() -> None:
    # The machine was twice as slow in the second round; the ratio of medians would be 12.5 / 75.
    results = Results("here", [a_round(20, 100), a_round(5, 50), a_round(20, 100)])
    assert results.ratio("ours", "direct", "c50", "rps") == Figure(0.2, True)


def test_what_is_added_is_never_less_than_nothing() -> None:
    assert Results("here", [a_round(3, 1)]).added("ours", "c50", "rps") == Figure(2, True)
    assert Results("here", [a_round(1, 3)]).added("ours", "c50", "rps") == Figure(0, True)


def test_what_was_not_measured_is_none() -> None:
    results = Results("here", [a_round(1, 1)])
    assert results.figure("ours", "paced", "cpu_us") is None
    assert results.ratio("ours", "nginx", "c50", "rps") is None
    assert results.once_of("ours", "start_s") is None


def test_runs_are_pooled() -> None:
    first = Results("here", [a_round(10, 1)], {"ours": [{"start_s": 1.0}]}, {"nginx": "no", "envoy": "no"})
    first.add(Results("here", [a_round(30, 1)], {"ours": [{"start_s": 3.0}], "nginx": [{"start_s": 1.0}]}, {}))
    assert first.figure("ours", "c50", "rps") == Figure(20, True)
    assert first.once_of("ours", "start_s") == Figure(2, True)
    assert first.absent == {"envoy": "no"}
