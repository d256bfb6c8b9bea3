"""Waits until a real token has come back through the gateway, and says what it waits for."""

from __future__ import annotations

import time
from collections.abc import Callable

from fullbatch.core.errors import EngineError
from fullbatch.lifecycle import diagnosis, engine_log
from fullbatch.lifecycle.proof import Proof
from fullbatch.planning.plan import Plan
from fullbatch.runtime.base import Awaited, Say

POLL_SECONDS = 0.5
HEARTBEAT_SECONDS = 15.0
GARBAGE_SECONDS = 10.0
LOG_LINES = 400
TAIL_LINES = 12
# A failing engine writes a traceback for each of its processes.
CAUSE_LINES = 4000
# The first finding is the root; a second may be the better known of two names of one fault.
FINDINGS = 2


def until_token(
    running: Awaited,
    plan: Plan,
    say: Say,
    limit: float,
    clock: Callable[[], float] = time.monotonic,
    healthy_limit: float | None = None,
) -> float:
    """Seconds until the first token came back.

    EngineError at once when the engine is dead, after `limit` seconds, or after `healthy_limit` in which the gateway
    was healthy: with what its log names as the cause, what to change, and the log's tail.
    """
    started, proof = clock(), Proof(running, plan)
    well_since: float | None = None
    told = ""
    told_at = started
    while True:
        failure = running.failure()
        if failure:
            raise EngineError(failure, *_tail(running, plan))
        refusal = proof.refusal()
        if refusal == "" and not running.unready():
            return clock() - started
        if refusal and healthy_limit is not None:
            well_since = clock() if well_since is None else well_since
            # A full queue is told by its status and passes; what is no answer does not become one.
            if clock() - well_since > (
                min(healthy_limit, GARBAGE_SECONDS) if refusal.startswith("200 ") else healthy_limit
            ):
                raise EngineError(f"it says that it is healthy and gives no token: {refusal}", *_tail(running, plan))
        else:
            well_since = None
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


def _doing(running: Awaited, plan: Plan) -> str:
    late = running.unready() if len(plan.engines) > 1 else []
    if late and len(late) < len(plan.engines):
        return f"waiting for {', '.join(late)}"
    return engine_log.stage(running.log_tail(LOG_LINES)) or "starting vLLM"


def _tail(running: Awaited, plan: Plan) -> list[str]:
    log = [line for line in running.log_tail(CAUSE_LINES) if line.strip()]
    return [*_why(log, plan), "the engine's log ends:", *(f"  {line[:300]}" for line in log[-TAIL_LINES:])]


def _why(log: list[str], plan: Plan) -> list[str]:
    found = diagnosis.findings(log, _of_log(log, plan))
    if found:
        return [line for one in found[:FINDINGS] for line in (f"why: {one.cause[:400]}", f"fix: {one.change}")]
    cause = engine_log.cause(log)
    return [f"the cause it names: {cause[:400]}"] if cause else []


def _of_log(log: list[str], plan: Plan) -> Plan:
    """The one of several models whose engine has written `log`: it says its names when it starts."""
    text = "\n".join(log)
    # The longest first: one name may begin another.
    named = sorted(plan.models, key=lambda part: -len(part.engines[0].served_name))
    return next((part for part in named if part.engines[0].served_name in text), plan.models[0])
