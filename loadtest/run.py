"""One run from the first check to the written report."""

from __future__ import annotations

import os
import platform
import secrets
from collections import Counter
from datetime import UTC, datetime
from importlib.metadata import version
from threading import Event
from time import perf_counter_ns
from typing import Any

from loadtest.arrivals import StagePlan
from loadtest.barrier import Stage
from loadtest.config import RunConfig
from loadtest.connection import Server
from loadtest.health import judge_client
from loadtest.ladder import Climbed, Ladder
from loadtest.metrics import summarise
from loadtest.preflight import calibrate, check_model
from loadtest.progress import Progress
from loadtest.prompts import Workload
from loadtest.report import Run, StageReport
from loadtest.users import WARMUP_TOKENS
from loadtest.verdict import StageFacts, judge
from loadtest.watch import Sample, Watch, join

SIDE = "server"  # what the only side of a plain run is called


def prepare(config: RunConfig, server: Server, progress: Progress) -> tuple[Workload, str]:
    """The workload for this server, and a line about it. ServerProblem or UsageProblem when no run can begin."""
    progress.line(f"checking {config.base_url} for model {config.model}")
    check_model(server, config.base_url, config.model)
    workload = Workload(config.model, config.max_tokens, config.prompt_tokens, nonce=secrets.token_hex(8))
    workload, calibration = calibrate(server, workload, config.prompt_tokens)
    progress.line(calibration)
    return workload, calibration


def execute(config: RunConfig, server: Server, prepared: tuple[Workload, str], progress: Progress, stop: Event) -> Run:
    """Climbs the ladder and judges it; `stop` ends it early, with what there is by then."""
    started, zero = datetime.now(UTC), perf_counter_ns()
    workload, calibration = prepared
    watch = Watch(config.engine_metrics, config.pids, config.sample_interval)
    watch.start()
    try:
        climbed = _climb(config, Ladder(server, workload, stop, watch.ask), progress, stop)
    finally:
        samples = watch.stop()
    stages = [_stage_report(one, samples, zero, config) for one in climbed]
    facts = [StageFacts(stage.plan.users, stage.client, stage.health) for stage in stages]
    return Run(
        started_at=started.isoformat(timespec="seconds"),
        zero=zero,
        arguments=config.arguments(),
        workload=_workload(workload, calibration),
        meta=config.meta,
        client=_client(),
        stages=stages,
        records=[record for one in climbed for record in one.stage.records],
        samples={SIDE: samples},
        verdict=judge(facts, complete=not stop.is_set()),
        sides=[_side(config, workload, calibration)],
    )


def _climb(config: RunConfig, ladder: Ladder, progress: Progress, stop: Event) -> list[Climbed]:
    """Stages that were let go, in order; one that was stopped during its warm-up has nothing to tell."""
    climbed: list[Climbed] = []
    try:
        for number, users in enumerate(config.users, start=1):
            stage = Stage(number, users, config.requests_per_user, config.warmup)
            progress.stage_begins(stage, len(config.users))
            one = ladder.climb(stage, progress.tick)
            if stage.released:
                climbed.append(one)
                progress.stage_ends(stage, summarise(stage.records, stage.released))
            if stop.is_set():
                break
    finally:
        ladder.close()
    return climbed


def _stage_report(climbed: Climbed, samples: list[Sample], zero: int, config: RunConfig) -> StageReport:
    stage = climbed.stage
    client = summarise(stage.records, stage.released)
    failed_warmups = Counter(str(record.outcome) for record in stage.warmups if not record.ok)
    return StageReport(
        plan=StagePlan(stage.number, stage.number, 1, SIDE, "closed", stage.users, stage.requests_per_user),
        planned=stage.users * stage.requests_per_user,
        complete=stage.complete,
        warmup_failures=dict(failed_warmups),
        start_s=(stage.released - zero) / 1e9,
        end_s=(climbed.ended - zero) / 1e9,
        client=client,
        by_kind={},
        health=judge_client(climbed.lag, stage.records, client, config.max_lag_ms),
        server=join(samples, stage.released, climbed.ended),
    )


def _workload(workload: Workload, calibration: str) -> dict[str, Any]:
    return {
        "loop": "closed: a user sends its next request when the last has ended",
        "prompt_words": workload.words,
        "prompt_calibration": calibration,
        "nonce": workload.nonce,
        "temperature": workload.temperature,
        "output_tokens": "fixed by max_tokens, min_tokens and ignore_eos",
        "warmup_tokens": WARMUP_TOKENS,
    }


def _side(config: RunConfig, workload: Workload, calibration: str) -> dict[str, Any]:
    return {
        "name": SIDE,
        "base_url": config.base_url,
        "model": config.model,
        "engine_metrics": list(config.engine_metrics),
        "pids": list(config.pids),
        "meta": config.meta,
        "prompt_words": {"": workload.words},
        "calibration": calibration,
    }


def _client() -> dict[str, Any]:
    return {
        "locust": version("locust"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
    }
