"""One run from the first check to the finished data: every stage on every side, repeat by repeat."""

from __future__ import annotations

import os
import platform
import resource
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from threading import Event
from time import perf_counter_ns
from typing import Any

from loadtest.analysis.client_health import judge_client
from loadtest.analysis.metrics import summarise
from loadtest.analysis.verdict import StageFacts, judge
from loadtest.client.connection import Server, server_at
from loadtest.client.preflight import calibrate, check_model
from loadtest.core.errors import UsageProblem
from loadtest.engines.sampling import EngineSampling, Sample, join
from loadtest.report.document import FinishedRun, StageReport
from loadtest.report.selfcheck_envelope import doubts
from loadtest.runner.config import RunConfig, ServerSide
from loadtest.runner.process_pool import ProcessPool
from loadtest.runner.progress import RunProgress
from loadtest.runner.stage import Stage, StageWork
from loadtest.runner.stages import SideLoads, SingleProcess, StageResult
from loadtest.runner.users import WARMUP_TOKENS
from loadtest.workload.arrivals import StagePlan, interleaved, poisson
from loadtest.workload.requests import ChatRequests
from loadtest.workload.source import Place, starts_of
from loadtest.workload.texts import RunTexts


@dataclass(frozen=True, slots=True)
class Ready:
    """A side that answered: its servers (one for each key), what it is asked, and a line about prompts' length."""

    side: ServerSide
    servers: tuple[Server, ...]
    requests: ChatRequests
    calibration: str


def prepare(config: RunConfig, progress: RunProgress) -> list[Ready]:
    """All sides, checked. ServerProblem or UsageProblem when no run can begin."""
    _allow_many_connections()
    nonce = secrets.token_hex(8)
    return [_prepare(side, config, nonce, progress) for side in config.sides]


def _prepare(side: ServerSide, config: RunConfig, nonce: str, progress: RunProgress) -> Ready:
    servers = tuple(_server(side, key, config) for key in side.keys)
    if config.source.keys > len(servers):
        wanted = f"the workload '{config.source.name}' needs {config.source.keys} keys"
        raise UsageProblem(f"--api-key-file: {wanted}, and {side.name} has {len(servers)}")
    progress.line(f"checking {side.base_url} for model {side.model or 'of any name'}")
    named = config.source.models
    for model in named:
        check_model(servers[0], side.base_url, model)
    side = replace(side, model=check_model(servers[0], side.base_url, side.model or (named[0] if named else "")))
    salt = side.name if len(config.sides) > 1 else ""
    requests = ChatRequests(side.model, config.source, RunTexts(nonce, salt))
    found = calibrate(servers[0], requests, config.token_counts, progress.line)
    progress.line(found.line)
    servers = tuple(replace(server, reuse=found.reuse) for server in servers)
    return Ready(side, servers, found.requests, found.line)


def _server(side: ServerSide, key: str | None, config: RunConfig) -> Server:
    try:
        return server_at(
            side.base_url,
            key,
            first_token_timeout=config.first_token_timeout,
            stall_timeout=config.stall_timeout,
            patience=config.patience,
        )
    except ValueError as error:
        raise UsageProblem(f"--base-url: {error}" if len(config.sides) == 1 else f"{side.name}: {error}") from error


def _allow_many_connections() -> None:
    """An open loop against a server that stalls has a connection for every missing answer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def execute(config: RunConfig, sides: Sequence[Ready], progress: RunProgress, stop: Event) -> FinishedRun:
    """Climbs all stages; `stop` ends it early, with what there is by then."""
    started, zero = datetime.now(UTC), perf_counter_ns()
    config = replace(config, sides=tuple(ready.side for ready in sides))  # with the models they turned out to serve
    watches = {
        one.side.name: EngineSampling(one.side.engine_metrics, one.side.pids, config.sample_interval) for one in sides
    }
    samples: dict[str, list[Sample]] = {}
    try:
        for watch in watches.values():
            watch.start()
        finished, died = _run_stage(config, sides, watches, progress, stop)
    finally:
        for name, watch in watches.items():
            samples[name] = watch.stop()
    stages = [_stage_report(one, samples[one.stage.plan.side], zero, config) for one in finished]
    facts = [StageFacts(stage.plan.users, stage.client, stage.health, _label(stage.plan, config)) for stage in stages]
    unsure = died + doubts(config.selfcheck, stages, config.processes)
    return FinishedRun(
        started_at=started.isoformat(timespec="seconds"),
        zero=zero,
        arguments=config.arguments(),
        workload=_workload(config, sides[0]),
        meta=config.meta,
        client=_client() | {"selfcheck": config.selfcheck.model_dump() if config.selfcheck else None},
        stages=stages,
        records=[record for one in finished for record in one.stage.records],
        samples=samples,
        verdict=judge(facts, complete=not stop.is_set(), doubts=unsure),
        sides=[_side(ready) for ready in sides],
        doubts=unsure,
    )


def _label(plan: StagePlan, config: RunConfig) -> str:
    side = f"{plan.side}, " if len(config.sides) > 1 else ""
    return side + plan.label + (f", repeat {plan.repeat}" if config.repeats > 1 else "")


def _run_stage(
    config: RunConfig, sides: Sequence[Ready], watches: Mapping[str, EngineSampling], progress: RunProgress, stop: Event
) -> tuple[list[StageResult], list[str]]:
    """Stages that were let go, in order, and the client processes that died; the run ends with the first of them.

    A stage that was stopped during its warm-up has nothing to tell.
    """
    finished: list[StageResult] = []
    loads: SideLoads = {one.side.name: (one.servers, one.requests) for one in sides}
    borders = {name: watch.ask for name, watch in watches.items()}
    several = config.processes > 1
    runners = ProcessPool(loads, borders, stop, config.processes) if several else SingleProcess(loads, borders, stop)
    plans = interleaved(config.arrivals, list(loads), config.repeats)
    try:
        for plan in plans:
            stage = Stage(plan, _work(plan, config, sides[0].requests))
            progress.stage_begins(stage, len(plans))
            one = runners.run_stage(stage, progress.tick)
            if stage.released:
                finished.append(one)
                progress.stage_ends(stage, summarise(stage.records, stage.released))
            if stop.is_set() or runners.died:
                break
    finally:
        runners.close()
    return finished, list(runners.died)


def _work(plan: StagePlan, config: RunConfig, requests: ChatRequests) -> StageWork:
    """The same for the same stage of every side: labels and arrivals hang on repeat and position alone."""
    label = f"{plan.repeat}-{plan.position}"
    if plan.rate is None or plan.seconds is None:
        each = plan.requests_per_user
        places = [Place(label, n, plan.users, i) for n in range(plan.users or 1) for i in range(each or 0)]
        return StageWork(label, config.warmup, planned=None if each is None else _planned(requests, places))
    if plan.mode == "replay":
        starts = starts_of(requests.source, plan.rate[0])
    else:
        starts = poisson(plan.rate, plan.seconds, requests.run.chance(label))
    return StageWork(label, config.warmup, starts, _planned(requests, [Place(label, n) for n in range(len(starts))]))


def _planned(requests: ChatRequests, places: Sequence[Place]) -> int:
    return sum(requests.conversation(place).turns for place in places)


def _stage_report(finished: StageResult, samples: list[Sample], zero: int, config: RunConfig) -> StageReport:
    stage = finished.stage
    client = summarise(stage.records, stage.released)
    failed_warmups = Counter(str(record.outcome) for record in stage.warmups if not record.ok)
    kinds, models = config.source.kinds, config.source.models
    return StageReport(
        plan=stage.plan,
        planned=stage.planned,
        complete=stage.complete,
        warmup_failures=dict(failed_warmups),
        start_s=(stage.released - zero) / 1e9,
        end_s=(finished.ended - zero) / 1e9,
        client=client,
        by_kind={
            kind: summarise([record for record in stage.records if record.kind == kind], stage.released)
            for kind in (kinds if len(kinds) > 1 else [])
        },
        by_model={
            model: summarise([record for record in stage.records if record.model == model], stage.released)
            for model in (models if len(models) > 1 else [])
        },
        health=judge_client(finished.pace, stage.records, client, config.max_lag_ms),
        server=join(samples, stage.released, finished.ended),
    )


def _workload(config: RunConfig, first: Ready) -> dict[str, Any]:
    requests, told = first.requests, first.requests.source.describe()
    return {
        "name": config.source.name,
        "description": config.source.description,
        **told,
        "arrivals": {name: getattr(config.arrivals, name) for name in config.arrivals.__slots__},
        "loop": config.arrivals.sentence,
        "prompt_words": next(iter(told["prompt_words"].values())),
        "prompt_calibration": first.calibration,
        "nonce": requests.run.nonce,
        "temperature": requests.temperature,
        "warmup_tokens": WARMUP_TOKENS,
    }


def _side(ready: Ready) -> dict[str, Any]:
    return {
        "name": ready.side.name,
        "base_url": ready.side.base_url,
        "model": ready.side.model,
        "engine_metrics": list(ready.side.engine_metrics),
        "pids": list(ready.side.pids),
        "meta": ready.side.meta,
        "prompt_words": ready.requests.source.describe()["prompt_words"],
        "calibration": ready.calibration,
        "token_counts_asked": ready.requests.ask_counts,
    }


def _client() -> dict[str, Any]:
    return {
        "locust": version("locust"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
    }
