"""Waiting until a real token has come back through the gateway, and saying what is being waited for."""

from __future__ import annotations

import time
from collections.abc import Callable

from fullbatch import client, startup
from fullbatch.errors import EngineError
from fullbatch.runtime import Running, Say

POLL_SECONDS = 0.5
HEARTBEAT_SECONDS = 15.0
TOKEN_TIMEOUT_SECONDS = 120.0
LOG_LINES = 400
TAIL_LINES = 12
# A failing engine writes a traceback for each of its processes.
CAUSE_LINES = 4000


def until_token(
    running: Running, model: str, say: Say, limit: float, clock: Callable[[], float] = time.monotonic
) -> float:
    """Seconds until the first token came back.

    EngineError at once when the engine is dead (with the tail of its log), or after `limit` seconds.
    """
    started = clock()
    told = ""
    told_at = started
    while True:
        failure = running.failure()
        if failure:
            raise EngineError(failure, *_tail(running))
        if _has_answered(running, model):
            return clock() - started
        waited = clock() - started
        if waited > limit:
            raise EngineError(
                f"no token came back within {limit:.0f} s; last seen: {told or 'nothing'}", *_tail(running)
            )
        now = _doing(running)
        if now != told:
            say(now)
            told, told_at = now, clock()
        elif clock() - told_at >= HEARTBEAT_SECONDS:
            say(f"still {now} ({waited:.0f} s so far)")
            told_at = clock()
        time.sleep(POLL_SECONDS)


def _has_answered(running: Running, model: str) -> bool:
    if client.get(f"{running.gateway_url}/health").status != 200:
        return False
    body = {"model": model, "prompt": "Hello", "max_tokens": 1}
    answer = client.post(f"{running.gateway_url}/v1/completions", body, running.api_key(), TOKEN_TIMEOUT_SECONDS)
    if answer.status in (401, 403, 404):
        raise EngineError(f"the gateway refuses our own test request: {answer.status} {answer.text.strip()}")
    usage = answer.json().get("usage") or {}
    return answer.status == 200 and usage.get("completion_tokens", 0) >= 1


def _doing(running: Running) -> str:
    return startup.stage(running.log_tail(LOG_LINES)) or "starting vLLM"


def _tail(running: Running) -> list[str]:
    log = [line for line in running.log_tail(CAUSE_LINES) if line.strip()]
    cause = startup.cause(log)
    first = [f"the cause it names: {cause[:400]}"] if cause else []
    return [*first, "the engine's log ends:", *(f"  {line[:300]}" for line in log[-TAIL_LINES:])]
