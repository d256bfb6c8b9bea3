"""From numbers and targets to one sentence and an exit code. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from loadtest.health import ClientHealth
from loadtest.metrics import ClientMetrics

Kind = Literal["met", "missed", "clean", "failures", "invalid", "incomplete"]
EXIT_CODES: Mapping[Kind, int] = {"met": 0, "clean": 0, "missed": 1, "failures": 1, "invalid": 3, "incomplete": 130}

_REMEDY = "give the load test cores of its own; --max-lag-ms moves the limit, and the report says so"

METRICS = (
    "total_time_s",
    "output_tokens_per_s",
    "requests_per_s",
    "ttft_p50_ms",
    "ttft_p95_ms",
    "itl_p50_ms",
    "itl_p95_ms",
    "tpot_mean_ms",
    "e2e_p50_ms",
    "e2e_p95_ms",
    "failures",
)


@dataclass(frozen=True, slots=True)
class Target:
    """One promise: at `users`, `metric` is below, or at least, a bound. Exactly one of the two is set."""

    name: str
    users: int
    metric: str
    below: float | None = None
    at_least: float | None = None
    applies_to: Mapping[str, str] = field(default_factory=dict)
    requests_per_user: int | None = None
    source: str = ""

    @property
    def bound(self) -> str:
        return f"< {self.below:g}" if self.below is not None else f">= {self.at_least:g}"

    def holds(self, value: float) -> bool:
        return value < self.below if self.below is not None else value >= (self.at_least or 0.0)


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of one target."""

    target: str
    status: Literal["met", "missed", "not judged"]
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
class Verdict:
    """`headline` is one sentence; `reasons` are the facts behind it, one line each."""

    kind: Kind
    headline: str
    reasons: list[str]
    targets: list[Judged]

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.kind]


def users_text(users: int) -> str:
    return "1 user" if users == 1 else f"{users} users"


def value_of(client: ClientMetrics, metric: str) -> float | None:
    """A metric by the name a target uses; None when the stage could not determine it."""
    if metric in ("total_time_s", "output_tokens_per_s", "requests_per_s"):
        plain = {
            "total_time_s": client.total_time_s,
            "output_tokens_per_s": client.output_tokens_per_s,
            "requests_per_s": client.requests_per_s,
        }
        return plain[metric]
    if metric == "failures":
        return float(client.failed)
    family, statistic, _ = metric.split("_")
    spread = {"ttft": client.ttft_ms, "itl": client.itl_ms, "tpot": client.tpot_ms, "e2e": client.e2e_ms}[family]
    if spread is None:
        return None
    return {"p50": spread.p50, "p95": spread.p95, "mean": spread.mean}[statistic]


def judge_target(
    target: Target, stages: Sequence[StageFacts], described: Mapping[str, str], requests_per_user: int
) -> Judged:
    """`described`: what the run says of itself (the meta, with the model)."""
    unfit = _unfit(target, described, requests_per_user)
    if unfit:
        return Judged(target.name, "not judged", unfit)
    stage = next((stage for stage in stages if stage.users == target.users), None)
    if stage is None:
        return Judged(target.name, "not judged", f"the run has no stage of {users_text(target.users)}")
    value = value_of(stage.client, target.metric)
    wanted = f"{target.metric} at {users_text(target.users)} {target.bound}"
    if value is None:
        return Judged(target.name, "missed", f"{wanted}: not known, no good answer")
    if stage.client.failed and target.metric != "failures":
        failed = f"{stage.client.failed} of {stage.client.requests} requests failed"
        return Judged(target.name, "missed", f"{wanted}: {value:.4g}, but {failed}")
    return Judged(target.name, "met" if target.holds(value) else "missed", f"{wanted}: measured {value:.4g}")


def _unfit(target: Target, described: Mapping[str, str], requests_per_user: int) -> str | None:
    for name, wanted in target.applies_to.items():
        said = described.get(name)
        if said is None:
            return f"it is for {name} {wanted}, and the run does not say its {name} (--meta)"
        if not all(word in said.lower() for word in wanted.lower().split()):
            return f"it is for {name} {wanted}, and this was {said}"
    if target.requests_per_user not in (None, requests_per_user):
        return f"it is for {target.requests_per_user} request(s) per user, and this run sent {requests_per_user}"
    return None


def judge(
    stages: Sequence[StageFacts], targets: Sequence[Judged], complete: bool = True, doubts: Sequence[str] = ()
) -> Verdict:
    """The whole run. What cannot be believed outranks what is bad, which outranks what is good.

    `doubts` are reasons not to believe the run as a whole, beside those of its stages.
    """
    failures = [_failure_line(stage) for stage in stages if stage.client.failed]
    judged = list(targets)
    if not complete:
        return Verdict("incomplete", "The run was stopped before its end: incomplete.", failures, judged)
    if not any(stage.client.requests > stage.client.failed for stage in stages):
        return Verdict("invalid", "Not one good answer: there is nothing to measure.", failures, judged)
    late = [f"{stage.name}: {reason}" for stage in stages for reason in stage.health.reasons]
    if late:
        reasons = [*late, _REMEDY, *doubts, *failures]
        return Verdict("invalid", "The client was too slow to be believed.", reasons, judged)
    if doubts:
        return Verdict("invalid", "The numbers cannot be believed or compared.", [*doubts, *failures], judged)
    missed = [f"{result.target}: {result.reason}" for result in judged if result.status == "missed"]
    if missed:
        return Verdict("missed", f"{len(missed)} of {len(judged)} targets missed.", missed + failures, judged)
    if failures:
        return Verdict("failures", "Some requests failed.", failures, judged)
    return _good(judged)


def _good(judged: list[Judged]) -> Verdict:
    met = [f"{result.target}: {result.reason}" for result in judged if result.status == "met"]
    unjudged = [f"{result.target}: not judged: {result.reason}" for result in judged if result.status == "not judged"]
    if met:
        return Verdict("met", f"{len(met)} of {len(judged)} targets met, none missed.", met + unjudged, judged)
    headline = "Ran clean: every request got its whole answer."
    return Verdict("clean", headline + (" No target applies." if judged else ""), unjudged, judged)


def _failure_line(stage: StageFacts) -> str:
    classes = ", ".join(f"{count} {name}" for name, count in stage.client.failures.items())
    return f"{stage.name}: {stage.client.failed} of {stage.client.requests} failed ({classes})"
