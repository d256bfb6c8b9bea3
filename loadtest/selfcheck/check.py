"""`python -m loadtest selfcheck`: the client's own error, measured against a server whose times are known.

The very users, reader and formulas of a run ask a server on this machine; what they report is laid beside what that
server wrote down. A busy machine fails the check just as a slow client does: neither can be believed there.
"""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Event
from typing import Any

from loadtest.analysis.client_health import judge_client
from loadtest.analysis.metrics import summarise
from loadtest.analysis.selfcheck_result import ClockComparison, SelfCheck
from loadtest.client.connection import server_at
from loadtest.client.record import Record
from loadtest.core.errors import ServerProblem
from loadtest.runner.process_pool import ProcessPool
from loadtest.runner.stage import Stage, StageWork
from loadtest.runner.stages import SideLoads, SingleProcess, StageResult
from loadtest.selfcheck import compare_clocks
from loadtest.workload.arrivals import StagePlan
from loadtest.workload.requests import ChatRequests
from loadtest.workload.synthetic import plain
from loadtest.workload.texts import RunTexts

_NONCE = "selfcheck"
_ANSWER_S = 1.0
_END_S = 5.0


@dataclass(frozen=True, slots=True)
class CheckLoad:
    """So many streams at once, each of `tokens_per_s`, for about so many seconds, from so many client processes."""

    users: int
    tokens_per_s: float
    seconds: float
    processes: int = 1


def check(load: CheckLoad) -> SelfCheck:
    """What came out, as a report has it."""
    with _engine(load.tokens_per_s) as url:
        return measure(url, f"{url}/truth", load, model="known")


def measure(url: str, truth_url: str, load: CheckLoad, model: str) -> SelfCheck:
    """The same against any server that keeps the truth."""
    finished = _run_stage(url, load, model)
    with urllib.request.urlopen(truth_url, timeout=10) as response:
        known = json.load(response)
    return _found(finished, known, load)


def _run_stage(url: str, load: CheckLoad, model: str) -> StageResult:
    requests = max(2, round(load.seconds / _ANSWER_S))
    plan = StagePlan(1, 1, 1, "", "closed", users=load.users, requests_per_user=requests)
    source = plain(16, max(10, round(load.tokens_per_s * _ANSWER_S)))
    loads: SideLoads = {plan.side: ((server_at(url, None),), ChatRequests(model, source, RunTexts(_NONCE)))}
    borders, several = {plan.side: lambda: None}, load.processes > 1
    runners = (
        ProcessPool(loads, borders, Event(), load.processes) if several else SingleProcess(loads, borders, Event())
    )
    try:
        finished = runners.run_stage(Stage(plan, StageWork("1", warmup=1)), lambda _: None)
    finally:
        runners.close()
    if runners.died:
        raise ServerProblem(runners.died[0])
    return finished


def _found(finished: StageResult, known: Mapping[str, Any], load: CheckLoad) -> SelfCheck:
    good = [record for record in finished.stage.records if record.ok]
    failed = len(finished.stage.records) - len(good)
    true = [compare_clocks.true_record(record, known[_request_id(record)]) for record in good]
    rows = compare_clocks.rows(good, true) if good else []
    problems = [_problem(row) for row in rows if not row.ok]
    if failed or not good:
        problems.append(f"{failed} of {len(finished.stage.records)} requests failed")
    health = judge_client(finished.pace, [], summarise(good, 0))
    sent = sorted((seen.send - record.send) / 1e6 for record, seen in zip(good, true, strict=True))
    return SelfCheck(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        users=load.users,
        tokens_per_s=load.tokens_per_s,
        processes=load.processes,
        requests=len(good),
        ok=not problems,
        problems=tuple(problems),
        rows=tuple(rows),
        token_lag_ms=compare_clocks.spread(compare_clocks.token_lags(good, true)),
        send_lag_ms=compare_clocks.spread(sent),
        loop_lag_p99_ms=health.lag_p99_ms,
        cpu_share=health.cpu_share,
    )


def _problem(row: ClockComparison) -> str:
    name = f"{row.metric.removesuffix('_ms').upper()} {row.statistic}"
    return f"{name} is {row.error_ms:+.1f} ms off (allowed {row.allowed_ms:.1f} ms)"


def _request_id(record: Record) -> str:
    return f"{_NONCE}-1-{record.user}-{record.index}-{record.turn}"


@contextmanager
def _engine(tokens_per_s: float) -> Iterator[str]:
    command: Sequence[str] = (
        sys.executable, "-m", "loadtest.selfcheck.engine", "--tokens-per-s", str(tokens_per_s)
    )  # fmt: skip
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, start_new_session=True)
    assert process.stdin is not None and process.stdout is not None
    try:
        url = process.stdout.readline().decode().strip()
        if not url:
            raise ServerProblem("the self check's own server did not start")
        yield url
    finally:
        process.stdin.close()
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
