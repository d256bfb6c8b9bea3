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
from datetime import UTC, datetime
from threading import Event
from typing import Any

from loadtest import truth
from loadtest.arrivals import StagePlan
from loadtest.barrier import Stage, Work
from loadtest.config import SELFCHECK_SCHEMA
from loadtest.connection import server_at
from loadtest.errors import ServerProblem
from loadtest.ladder import Climbed, Ladder
from loadtest.prompts import plain, spread
from loadtest.record import Record

_NONCE = "selfcheck"
_ANSWER_S = 1.0
_END_S = 5.0


def check(users: int, tokens_per_s: float, seconds: float) -> dict[str, Any]:
    """So many streams at once, each of `tokens_per_s`, for about so many seconds: what came out, as a report has it."""
    with _engine(tokens_per_s) as url:
        return measure(url, f"{url}/truth", (users, tokens_per_s, seconds), model="known")


def measure(url: str, truth_url: str, load: tuple[int, float, float], model: str) -> dict[str, Any]:
    """The same against any server that keeps the truth. `load`: users, tokens/s of each, seconds."""
    users, tokens_per_s, seconds = load
    tokens = max(10, round(tokens_per_s * _ANSWER_S))
    plan = StagePlan(1, 1, 1, "", "closed", users=users, requests_per_user=max(2, round(seconds / _ANSWER_S)))
    climbed = _climb(url, plan, model, tokens)
    with urllib.request.urlopen(truth_url, timeout=10) as response:
        known = json.load(response)
    return _found(climbed, known, users, tokens_per_s)


def _climb(url: str, plan: StagePlan, model: str, tokens: int) -> Climbed:
    prompts = plain(model, 16, tokens, _NONCE)
    ladder = Ladder((server_at(url, None),), prompts, Event(), lambda: None)
    try:
        return ladder.climb(Stage(plan, Work(spread(prompts.kinds, plan.users or 1), "1", warmup=1)), lambda _: None)
    finally:
        ladder.close()


def _found(climbed: Climbed, known: Mapping[str, Any], users: int, tokens_per_s: float) -> dict[str, Any]:
    good = [record for record in climbed.stage.records if record.ok]
    failed = len(climbed.stage.records) - len(good)
    true = [truth.true_record(record, known[_request_id(record)]) for record in good]
    rows = truth.rows(good, true) if good else []
    problems = [_problem(row) for row in rows if not row.ok]
    if failed or not good:
        problems.append(f"{failed} of {len(climbed.stage.records)} requests failed")
    lag, cpu = climbed.lag
    return {
        "schema": SELFCHECK_SCHEMA,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "users": users,
        "tokens_per_s": tokens_per_s,
        "requests": len(good),
        "ok": not problems,
        "problems": problems,
        "rows": [row.as_dict() for row in rows],
        "token_lag_ms": truth.spread(truth.token_lags(good, true)),
        "send_lag_ms": truth.spread(
            sorted((seen.send - sent.send) / 1e6 for sent, seen in zip(good, true, strict=True))
        ),
        "loop_lag_p99_ms": lag,
        "cpu_share": cpu,
    }


def _problem(row: truth.Row) -> str:
    name = f"{row.metric.removesuffix('_ms').upper()} {row.statistic}"
    return f"{name} is {row.error_ms:+.1f} ms off (allowed {row.allowed_ms:.1f} ms)"


def _request_id(record: Record) -> str:
    return f"{_NONCE}-1-{record.user}-{record.index}-{record.turn}"


def text(found: Mapping[str, Any]) -> str:
    """For a terminal."""
    lines = [
        f"{found['users']} streams x {found['tokens_per_s']:g} tokens/s, {found['requests']} answers",
        "             reported      truth      error    allowed",
    ]
    for row in found["rows"]:
        name = f"{row['metric'].removesuffix('_ms').upper()} {row['statistic']}"
        numbers = "".join(f"{row[key]:8.2f} ms" for key in ("reported_ms", "true_ms"))
        mark = "" if row["ok"] else "  !"
        lines.append(f"{name:10}{numbers}{row['error_ms']:+8.2f} ms{row['allowed_ms']:8.2f} ms{mark}")
    for name, label in (
        ("token_lag_ms", "a token is seen after its write"),
        ("send_lag_ms", "a request is read after"),
    ):
        lines.append(f"{label}: " + " / ".join(_ms(value) for value in found[name].values()) + " ms (p50/p95/p99)")
    cpu = "unknown" if found["cpu_share"] is None else f"{found['cpu_share']:.0%}"
    lines.append(f"the client used {cpu} of a core; its loop was {_ms(found['loop_lag_p99_ms'])} ms late at p99")
    verdict = "the client can be believed here" if found["ok"] else "the client cannot be believed here"
    return "\n".join([*lines, f"{verdict}" + "".join(f"\n  - {problem}" for problem in found["problems"])])


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


@contextmanager
def _engine(tokens_per_s: float) -> Iterator[str]:
    command: Sequence[str] = (
        sys.executable, "-m", "loadtest.selfcheck_engine", "--tokens-per-s", str(tokens_per_s)
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
