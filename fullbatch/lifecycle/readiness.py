"""Waits until a real token has come back through the gateway, and says what it waits for."""

from __future__ import annotations

import time
from collections.abc import Callable

from fullbatch.core import http
from fullbatch.core.errors import EngineError
from fullbatch.lifecycle import diagnosis, engine_log
from fullbatch.planning.plan import Plan
from fullbatch.runtime.base import Awaited, Say

POLL_SECONDS = 0.5
HEARTBEAT_SECONDS = 15.0
TOKEN_TIMEOUT_SECONDS = 120.0
LOG_LINES = 400
TAIL_LINES = 12
# A failing engine writes a traceback for each of its processes.
CAUSE_LINES = 4000
# The first finding is the root; a second may be the better known of two names of one fault.
FINDINGS = 2


def until_token(
    running: Awaited, plan: Plan, say: Say, limit: float, clock: Callable[[], float] = time.monotonic
) -> float:
    """Seconds until the first token came back.

    EngineError at once when the engine is dead, or after `limit` seconds: with what its log names as the cause, what to
    change, and the log's tail.
    """
    started = clock()
    told = ""
    told_at = started
    while True:
        failure = running.failure()
        if failure:
            raise EngineError(failure, *_tail(running, plan))
        if _has_answered(running, plan.engines[0].served_name) and not running.unready():
            return clock() - started
        waited = clock() - started
        if waited > limit:
            raise EngineError(
                f"no token within {limit:.0f} s (last state: {told or 'unknown'}); "
                "wait longer with --timeout, or read the log below",
                *_tail(running, plan),
            )
        now = _doing(running, plan)
        if now != told:
            say(now)
            told, told_at = now, clock()
        elif clock() - told_at >= HEARTBEAT_SECONDS:
            say(f"still {now} ({waited:.0f} s so far)")
            told_at = clock()
        time.sleep(POLL_SECONDS)


def _has_answered(running: Awaited, model: str) -> bool:
    if http.get(f"{running.gateway_url}/health").status != 200:
        return False
    body = {"model": model, "prompt": "Hello", "max_tokens": 1}
    answer = http.post(f"{running.gateway_url}/v1/completions", body, running.api_key(), TOKEN_TIMEOUT_SECONDS)
    if answer.status in (401, 403, 404):
        raise EngineError(f"the gateway refuses our own test request: {answer.status} {answer.text.strip()}")
    usage = answer.json().get("usage") or {}
    return answer.status == 200 and usage.get("completion_tokens", 0) >= 1


def _doing(running: Awaited, plan: Plan) -> str:
    late = running.unready() if len(plan.engines) > 1 else []
    if late and len(late) < len(plan.engines):
        return f"waiting for {', '.join(late)}"
    return engine_log.stage(running.log_tail(LOG_LINES)) or "starting vLLM"


def _tail(running: Awaited, plan: Plan) -> list[str]:
    log = [line for line in running.log_tail(CAUSE_LINES) if line.strip()]
    return [*_why(log, plan), "the engine's log ends:", *(f"  {line[:300]}" for line in log[-TAIL_LINES:])]


def _why(log: list[str], plan: Plan) -> list[str]:
    found = diagnosis.findings(log, plan)
    if found:
        return [line for one in found[:FINDINGS] for line in (f"why: {one.cause[:400]}", f"fix: {one.change}")]
    cause = engine_log.cause(log)
    return [f"the cause it names: {cause[:400]}"] if cause else []
