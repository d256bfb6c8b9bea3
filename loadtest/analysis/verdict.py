"""The verdict: from numbers and targets to one sentence and an exit code. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from loadtest.analysis.client_health import ClientHealth
from loadtest.analysis.metrics import ClientMetrics

VerdictKind = Literal["met", "missed", "clean", "failures", "invalid", "incomplete"]
EXIT_CODES: Mapping[VerdictKind, int] = {
    "met": 0,
    "clean": 0,
    "missed": 1,
    "failures": 1,
    "invalid": 3,
    "incomplete": 130,
}

_REMEDY = "give the load test cores of its own; --max-lag-ms moves the limit, and the report says so"


@dataclass(frozen=True, slots=True)
class PerformanceTarget:
    """One promise: at `users`, `metric` is below or at least a bound, or so many times better than that of a baseline.

    Exactly one of the three is set. `side`: which is judged, the first when empty; `mode`: the kind of stage.
    """

    name: str
    users: int
    metric: str
    below: float | None = None
    at_least: float | None = None
    times_better: float | None = None
    baseline: str = ""
    side: str = ""
    mode: str = ""
    applies_to: Mapping[str, str] = field(default_factory=dict)
    requests_per_user: int | None = None
    source: str = ""

    @property
    def who(self) -> str:
        return users_text(self.users)

    @property
    def bound(self) -> str:
        return f"< {self.below:g}" if self.below is not None else f">= {self.at_least:g}"

    def holds(self, value: float) -> bool:
        return value < self.below if self.below is not None else value >= (self.at_least or 0.0)


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of one target."""

    target: str
    status: Literal["met", "missed", "not comparable", "not judged"]
    reason: str


@dataclass(frozen=True, slots=True)
class StageFacts:
    """What a verdict needs of one stage."""

    users: int | None
    client: ClientMetrics
    health: ClientHealth
    label: str = ""  # what the stage is called where `users` alone does not say it

    @property
    def name(self) -> str:
        return self.label or users_text(self.users or 0)


@dataclass(frozen=True, slots=True)
class RunVerdict:
    """`headline` is one sentence; `reasons` are the facts behind it, one line each."""

    kind: VerdictKind
    headline: str
    reasons: list[str]
    targets: list[Judged]

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.kind]


def users_text(users: int) -> str:
    return "1 user" if users == 1 else f"{users} users"


def judge(stages: Sequence[StageFacts], complete: bool = True, doubts: Sequence[str] = ()) -> RunVerdict:
    """The whole run, before any target. What cannot be believed outranks what is bad, which outranks what is good.

    `doubts` are reasons not to believe the run as a whole, beside those of its stages.
    """
    failures = [failure_line(stage.name, stage.client.failures, stage.client.requests) for stage in stages]
    failures = [line for line in failures if line]
    if not complete:
        return RunVerdict("incomplete", "The run was stopped before its end: incomplete.", failures, [])
    if not any(stage.client.requests > stage.client.failed for stage in stages):
        return RunVerdict("invalid", "Not one good answer: there is nothing to measure.", [*doubts, *failures], [])
    late = [f"{stage.name}: {reason}" for stage in stages for reason in stage.health.reasons]
    if late:
        reasons = [*late, _REMEDY, *doubts, *failures]
        return RunVerdict("invalid", "The client was too slow to be believed.", reasons, [])
    if doubts:
        return RunVerdict("invalid", "The numbers cannot be believed or compared.", [*doubts, *failures], [])
    return conclude(failures, [])


def conclude(failures: Sequence[str], judged: Sequence[Judged]) -> RunVerdict:
    """Of a run that is whole and can be believed."""
    results, lines = list(judged), list(failures)
    missed = [f"{result.target}: {result.reason}" for result in results if result.status == "missed"]
    met = [f"{result.target}: {result.reason}" for result in results if result.status == "met"]
    others = [result for result in results if result.status in ("not judged", "not comparable")]
    judged_count = len(met) + len(missed)
    apart = f" {len(others)} not judged." if others else ""
    if missed:
        return RunVerdict("missed", f"{len(missed)} of {judged_count} targets missed.{apart}", missed + lines, results)
    if lines:
        return RunVerdict("failures", "Some requests failed.", lines, results)
    unjudged = [f"{result.target}: {result.status}: {result.reason}" for result in others]
    if met:
        return RunVerdict(
            "met", f"{len(met)} of {judged_count} targets met, none missed.{apart}", met + unjudged, results
        )
    headline = "Ran clean: every request got its whole answer."
    return RunVerdict("clean", headline + (" No target applies." if results else ""), unjudged, results)


def failure_line(name: str, failures: Mapping[str, int], requests: int) -> str:
    """One stage's failures by class, in words; empty when there are none."""
    classes = ", ".join(f"{count} {failure}" for failure, count in failures.items())
    return f"{name}: {sum(failures.values())} of {requests} failed ({classes})" if failures else ""
