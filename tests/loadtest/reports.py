"""Whole reports with known numbers, made by the program's own classes: what `run` and `compare` would write."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from loadtest.analysis.client_health import Pace, judge_client
from loadtest.analysis.metrics import summarise
from loadtest.analysis.points import Slo
from loadtest.analysis.target_judge import judged
from loadtest.analysis.verdict import PerformanceTarget, StageFacts, judge
from loadtest.client.record import Record, RequestOutcome
from loadtest.engines.sampling import Sample, join
from loadtest.report.document import FinishedRun, StageReport, as_dict
from loadtest.workload.arrivals import StagePlan
from tests.loadtest.answers import failed, good

SECOND = 1_000_000_000


@dataclass(frozen=True)
class Side:
    """How a server behaves: first token after `ttft_ms` and `ttft_ms_per_user` more for each user, then `itl_ms`."""

    name: str = "server"
    ttft_ms: float = 40.0
    ttft_ms_per_user: float = 0.0
    itl_ms: float = 10.0
    tokens: int = 20
    jitter: float = 0.1
    failures: int = 0
    lag_ms: float = 0.2
    memory_gib: float | None = 2.0
    model: str = "Qwen/Qwen2.5-1.5B-Instruct"


def make(
    sides: Sequence[Side] = (Side(),),
    users: Sequence[int] = (1, 5, 10),
    repeats: int = 1,
    targets: Sequence[PerformanceTarget] = (),
    slo: Slo | None = None,
    complete: bool = True,
) -> dict[str, Any]:
    """Each side at each number of users, three requests a user, `repeats` times; the same on every call."""
    source, begin = random.Random(7), 0.0
    stages: list[StageReport] = []
    records: list[Record] = []
    samples: dict[str, list[Sample]] = {side.name: [] for side in sides}
    for repeat in range(1, repeats + 1):
        for position, count in enumerate(users, start=1):
            for side in sides:
                plan = StagePlan(len(stages) + 1, position, repeat, side.name, "closed", count, 3)
                answers = _answers(side, plan, begin, source)
                stage, taken = _stage(side, plan, answers, begin, complete)
                stages.append(stage)
                records += answers
                samples[side.name] += taken
                begin = stage.end_s + 0.5
    facts = [StageFacts(stage.plan.users, stage.client, stage.health, stage.plan.label) for stage in stages]
    arguments = {"users": list(users), "requests_per_user": 3, "max_tokens": sides[0].tokens, "model": sides[0].model}
    arguments["base_url"] = "http://127.0.0.1:8080"
    client = {"locust": "2.47.0", "python": "3.11.2", "system": "Linux x86_64", "cpus": 2}
    run = FinishedRun(
        "2026-11-23T00:00:00+00:00", 0, arguments, {"loop": "closed"}, {"machine": "a box of 2 cores"}, client,
        stages, records, samples, judge(facts, complete), [_side(side) for side in sides],
    )  # fmt: skip
    return judged(as_dict(run), targets, slo)


def _side(side: Side) -> dict[str, Any]:
    return {
        "name": side.name,
        "base_url": f"http://127.0.0.1/{side.name}",
        "model": side.model,
        "engine_metrics": [],
        "pids": [],
        "meta": {"engine": f"engine of {side.name}", "command": "serve --max-num-seqs 64"},
        "prompt_words": {"": 100},
        "calibration": "prompts of 100 words make about 128 tokens here",
    }


def _answers(side: Side, plan: StagePlan, begin: float, source: random.Random) -> list[Record]:
    made = []
    for user in range(plan.users or 0):
        free = begin * 1000
        for index in range(3):
            first = side.ttft_ms + side.ttft_ms_per_user * (plan.users or 0)
            gaps = [(side.itl_ms * source.uniform(1 - side.jitter, 1 + side.jitter), 1) for _ in range(side.tokens - 1)]
            answer = good(free, free + first * source.uniform(1 - side.jitter, 1 + side.jitter), gaps, user)
            answer = replace(answer, stage=plan.number, index=index, plan=answer.send)
            made.append(answer)
            free = answer.end / 1e6
    refused = replace(failed(begin * 1000, begin * 1000 + 5, RequestOutcome.OVERLOADED), stage=plan.number)
    refused.detail = "HTTP 429 (Retry-After: 7): <full>"
    return made + [refused] * side.failures


def _stage(
    side: Side, plan: StagePlan, answers: list[Record], begin: float, complete: bool
) -> tuple[StageReport, list[Sample]]:
    released = int(begin * SECOND)
    client = summarise(answers, released)
    ended = released + int((client.total_time_s or 0) * SECOND)
    memory = None if side.memory_gib is None else side.memory_gib * 2**30
    taken = []
    for step in range(12):
        at = released + (ended - released) * step // 11
        share = min(1.0, 0.01 * (plan.users or 0) * (1 + step % 3))
        taken.append(Sample(at, plan.users, 0, share, 100.0 * at / SECOND, 0, 0, 0, memory))
    health = judge_client([Pace(side.lag_ms, 0.1)], answers, client)
    server = join(taken, released, ended)
    stage = StageReport(plan, len(answers), complete, {}, begin, ended / SECOND, client, {}, health, server)
    return stage, taken
