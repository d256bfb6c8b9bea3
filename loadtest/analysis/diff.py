"""Two reports of the same plan, before and after: what became worse, beyond what chance explains.

A number is worse when the 95 % interval of its ratio lies wholly on the bad side of 1 and it changed by more than the
tolerance. Without an interval (one repeat, few answers) it is never called worse, only shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from loadtest.analysis.points import Point, points, side_names
from loadtest.analysis.ratio import Compared, compare, unlike

TOLERANCE = 0.05
METRICS = {
    "total_time_s": "s",
    "output_tokens_per_s": "tokens/s",
    "goodput_per_s": "answers/s",
    "ttft_p50_ms": "ms",
    "ttft_p95_ms": "ms",
    "ttft_p99_ms": "ms",
    "itl_p50_ms": "ms",
    "itl_p95_ms": "ms",
    "tpot_p50_ms": "ms",
    "e2e_p50_ms": "ms",
    "e2e_p95_ms": "ms",
    "attainment": "",
}
_SETTINGS = ("max_tokens", "prompt_tokens", "requests_per_user", "users", "model")
Word = Literal["worse", "better", "same", "unclear"]


@dataclass(frozen=True, slots=True)
class Change:
    """One metric of one stage. `better`: how many times better after than before, with its interval."""

    side: str
    label: str
    metric: str
    before: float
    after: float
    better: float
    low: float | None
    high: float | None
    word: Word


@dataclass(frozen=True, slots=True)
class Diff:
    """`not_compared`: stages and why. `failing`: stages that fail now and did not. `doubts`: why not to believe it."""

    changes: list[Change]
    failing: list[str]
    not_compared: list[str]
    settings: list[str]
    doubts: list[str]

    @property
    def regressions(self) -> list[str]:
        return [_in_words(change) for change in self.changes if change.word == "worse"] + self.failing

    @property
    def exit_code(self) -> int:
        """0 nothing became worse; 1 something did; 3 nothing can be said."""
        if self.doubts or not (self.changes or self.failing):
            return 3
        return 1 if self.regressions else 0

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "regressions": self.regressions, "exit_code": self.exit_code}


def diff(before: Mapping[str, Any], after: Mapping[str, Any], tolerance: float = TOLERANCE) -> Diff:
    """Sides are matched by name, or to each other where both reports have one; stages by what they are called."""
    made = Diff([], [], [], _settings(before, after), _doubts(before, "before") + _doubts(after, "after"))
    old = {_key(point, before): point for point in points(before)}
    new = {_key(point, after): point for point in points(after)}
    for key, point in new.items():
        if key not in old:
            made.not_compared.append(f"{_called(point)}: not in the first report")
            continue
        _stage(made, old[key], point, tolerance)
    gone = [point for key, point in old.items() if key not in new]
    made.not_compared.extend(f"{_called(point)}: not in the second report" for point in gone)
    return made


def _key(point: Point, report: Mapping[str, Any]) -> tuple[str, str, str]:
    return (point.side if len(side_names(report)) > 1 else "", point.mode, point.label)


def _called(point: Point) -> str:
    return f"{point.side}, {point.label}"


def _stage(made: Diff, old: Point, new: Point, tolerance: float) -> None:
    if new.failures and not old.failures:
        made.failing.append(f"{_called(new)}: {new.failures} of {new.requests} requests failed, none before")
        return
    reason = unlike(new, old)
    if reason is not None:
        made.not_compared.append(f"{_called(new)}: {reason}")
        return
    for metric in METRICS:
        compared = compare(new, old, metric)
        if compared is not None:
            made.changes.append(_change(new, compared, tolerance))


def _change(point: Point, compared: Compared, tolerance: float) -> Change:
    better = compared.better
    word: Word = "same"
    if compared.surely_worse and better.value < 1 / (1 + tolerance):
        word = "worse"
    elif compared.surely_better and better.value > 1 + tolerance:
        word = "better"
    elif not better.sure and not 1 / (1 + tolerance) <= better.value <= 1 + tolerance:
        word = "unclear"
    values = (compared.other.value, compared.own.value, better.value, better.low, better.high)
    return Change(point.side, point.label, compared.metric, *values, word)


def _settings(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    old, new = before["arguments"], after["arguments"]
    changed = [name for name in _SETTINGS if old.get(name) != new.get(name)]
    return [f"{name.replace('_', ' ')}: {old.get(name)} before, {new.get(name)} after" for name in changed]


def _doubts(report: Mapping[str, Any], when: str) -> list[str]:
    kind = report["verdict"]["kind"]
    return [f"the run {when} is {kind}: {report['verdict']['headline']}"] if kind in ("invalid", "incomplete") else []


def _in_words(change: Change) -> str:
    within = f" [{change.low:.2f}, {change.high:.2f}]" if change.low is not None and change.high is not None else ""
    numbers = f"{change.before:.4g} before, {change.after:.4g} after {METRICS[change.metric]}".rstrip()
    return f"{change.side}, {change.label}: {change.metric} {numbers} ({change.better:.2f}{within} times as good)"


def text(made: Diff) -> str:
    """For a terminal."""
    lines = [f"doubt: {line}" for line in made.doubts] + [f"setting: {line}" for line in made.settings]
    for word in ("worse", "better", "unclear"):
        called = f"not to be believed ({word})" if made.doubts else word
        lines += [f"{called}: {_in_words(change)}" for change in made.changes if change.word == word]
    failing = "not to be believed (failing)" if made.doubts else "worse"
    lines += [f"{failing}: {line}" for line in made.failing] + [f"not compared: {line}" for line in made.not_compared]
    return "\n".join([*lines, _summary(made)])


def _summary(made: Diff) -> str:
    if made.exit_code == 3:
        return "diff: nothing can be said: " + ("; ".join(made.doubts) or "the reports have no stage in common")
    counts = {word: sum(change.word == word for change in made.changes) for word in ("better", "same", "unclear")}
    if made.regressions:
        return f"diff: {len(made.regressions)} worse, {counts['better']} better, {_rest(counts)}"
    return f"diff: nothing is worse; {counts['better']} better, {_rest(counts)}"


def _rest(counts: Mapping[str, int]) -> str:
    unclear = f", {counts['unclear']} changed without an interval (repeats would tell)" if counts["unclear"] else ""
    return f"{counts['same']} as before{unclear}"
