"""Targets against a run: absolute ones against the side under test, relative ones against a side named as baseline.

The side under test is the first of the run, unless a target names another. Made from the report's data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from loadtest.analysis.intervals import Estimate
from loadtest.analysis.points import Point, Slo, points, side_names, slo_of
from loadtest.analysis.ratio import Compared, compare, unlike
from loadtest.analysis.verdict import Judged, PerformanceTarget, conclude, failure_line


def judged(report: Mapping[str, Any], targets: Sequence[PerformanceTarget], slo: Slo | None = None) -> dict[str, Any]:
    """The report with its targets judged, its verdict and exit code to match, and the SLO that goodput is of."""
    marked = {**report, "slo": (slo or slo_of(report)).as_dict()}
    found = points(marked)
    results = [judge(target, marked, found) for target in targets]
    verdict = marked["verdict"]
    if verdict["kind"] in ("incomplete", "invalid"):  # what cannot be believed stays so, whatever its numbers are
        return {**marked, "verdict": {**verdict, "targets": [asdict(result) for result in results]}}
    lines = [_failures(stage) for stage in report["stages"]]
    made = conclude([line for line in lines if line], results)
    return {**marked, "verdict": {**asdict(made), "exit_code": made.exit_code}}


def _failures(stage: Mapping[str, Any]) -> str:
    return failure_line(stage["label"], stage["client"]["failures"], stage["client"]["requests"])


def judge(target: PerformanceTarget, report: Mapping[str, Any], found: Sequence[Point]) -> Judged:
    names = side_names(report)
    side = target.side or names[0]
    if side not in names:
        return _unfit(target, f"it is for a side named '{side}', and this run has {', '.join(names)}")
    unfit = _elsewhere(target, described(report, side))
    if unfit:
        return _unfit(target, unfit)
    point = _point(target, side, found)
    if isinstance(point, str):
        return _unfit(target, point)
    if target.times_better is None:
        return _absolute(target, point)
    if target.baseline not in names:
        told = f"this run has no side of that name ({', '.join(names)})"
        return _unfit(target, f"it compares with '{target.baseline}', and {told}")
    other = _point(target, target.baseline, found)
    if isinstance(other, str):
        return _unfit(target, f"{target.baseline}: {other}")
    return _relative(target, point, other)


def _unfit(target: PerformanceTarget, reason: str) -> Judged:
    return Judged(target.name, "not judged", reason)


def described(report: Mapping[str, Any], side: str) -> dict[str, str]:
    """What the run says of itself and of one of its sides."""
    own = next(one for one in report["sides"] if one["name"] == side)
    said = {"model": own["model"], **report["meta"], **own["meta"]}
    return {str(name): str(value) for name, value in said.items()}


def _elsewhere(target: PerformanceTarget, described: Mapping[str, str]) -> str | None:
    for name, wanted in target.applies_to.items():
        said = described.get(name)
        if said is None:
            return f"it is for {name} {wanted}, and the run does not say its {name} (--meta)"
        if not all(word in said.lower() for word in wanted.lower().split()):
            return f"it is for {name} {wanted}, and this was {said}"
    return None


def _point(target: PerformanceTarget, side: str, found: Sequence[Point]) -> Point | str:
    """The point a target is about, or why there is none."""
    fit = [point for point in found if point.side == side and point.users == target.users]
    if not fit:
        return f"the run has no stage of {target.who}"
    fit = [point for point in fit if target.mode in ("", point.mode)]
    if not fit:
        return f"it is for a stage of mode {target.mode}, and the stage of {target.who} is of another"
    if target.requests_per_user is not None:
        sent = fit[0].stages[0]["requests_per_user"]
        fit = [point for point in fit if point.stages[0]["requests_per_user"] == target.requests_per_user]
        if not fit:
            return f"it is for {target.requests_per_user} request(s) per user, and this run sent {sent}"
    return fit[0]


def _absolute(target: PerformanceTarget, point: Point) -> Judged:
    estimate = point.estimate(target.metric)
    wanted = f"{target.metric} at {target.who} {target.bound}"
    if estimate is None:
        return Judged(target.name, "missed", f"{wanted}: not known, no good answer")
    measured = f"{wanted}: {_measured(estimate)}"
    if point.failures and target.metric != "failures":
        return Judged(target.name, "missed", f"{measured}, but {point.failures} of {point.requests} requests failed")
    return Judged(target.name, "met" if target.holds(estimate.value) else "missed", measured)


def _measured(estimate: Estimate) -> str:
    within = f" [{estimate.low:.4g}, {estimate.high:.4g}]" if estimate.sure else ""
    return f"measured {estimate.value:.4g}{within}"


def _relative(target: PerformanceTarget, point: Point, other: Point) -> Judged:
    """Never compared: answers of other lengths, other plans, a side with failures or without a number."""
    wanted = f"{target.metric} at {target.who} at least {target.times_better:g} times better than {target.baseline}"
    reason = unlike(point, other)
    made = compare(point, other, target.metric)
    if reason is None and made is None:
        missing = " and ".join(one.side for one in (point, other) if one.estimate(target.metric) is None)
        reason = f"{target.metric} is not known of {missing or 'the baseline'}"
    if reason is not None or made is None:
        return Judged(target.name, "not comparable", f"{wanted}: {reason}")
    assert target.times_better is not None  # only relative targets come here
    holds = made.better.value >= target.times_better
    return Judged(target.name, "met" if holds else "missed", f"{wanted}: {_in_words(made, target.times_better)}")


def _in_words(made: Compared, wanted: float) -> str:
    better = made.better
    within = f" [{better.low:.2f}, {better.high:.2f}]" if better.low is not None and better.high is not None else ""
    text = f"measured {better.value:.2f}{within} times ({made.own.value:.4g} against {made.other.value:.4g})"
    if better.low is None or better.high is None:
        return f"{text}; no interval, too few values or repeats"
    unsure = better.low < wanted <= better.high
    return f"{text}; the interval holds the bound: repeat more to be sure" if unsure else text
