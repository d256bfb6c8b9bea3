"""Whether what was switched to is good: a token, as many KV tokens as planned, and a short load without a failure."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fullbatch.core.errors import EngineError
from fullbatch.lifecycle import deployment, readiness
from fullbatch.planning.plan import Plan
from fullbatch.runtime import registry
from fullbatch.runtime.base import Awaited, RunningDeployment, Say

# What says that it is healthy gives a token by then, or never will; beside a load it may have to queue.
HEALTHY_SECONDS = 90.0
KV_SHARE = 0.05
_LOAD = ("--users", "4", "--requests-per-user", "3", "--prompt-tokens", "64", "--max-tokens", "16", "--warmup", "0")
# A late client is no fault of what is tested, and a queue that is full of others' requests neither.
_FAIR = ("--max-lag-ms", "10000", "--obey-retry-after", "120")
# Everything, so that what hangs in the middle of an answer ends the test too.
LOAD_SECONDS = 600.0


@dataclass(frozen=True)
class Before:
    """What it was like: KV tokens that the engines reported, None where they did not say."""

    kv_tokens: int | None


def before(running: RunningDeployment) -> Before:
    """What to compare with."""
    return Before(deployment.kv_tokens_reported(running.engine_metrics()))


def token(awaited: Awaited, plan: Plan, say: Say, timeout: float) -> float:
    """Seconds until the first token; EngineError without one."""
    return readiness.until_token(awaited, plan, say, timeout, healthy_limit=HEALTHY_SECONDS)


def kv(now: int | None, plan: Plan, was: Before, say: Say) -> None:
    """EngineError when it holds other than what was planned, and than what it held."""
    if now is None:
        say("the engine does not say how many KV tokens it holds; not compared")
        return
    known = [one for one in (plan.capacity.kv_tokens, was.kv_tokens) if one]
    if known and all(abs(now - one) > one * KV_SHARE for one in known):
        held = f", and it held {was.kv_tokens:,} before" if was.kv_tokens else ""
        raise EngineError(f"its KV cache holds {now:,} tokens, {plan.capacity.kv_tokens:,} are planned{held}")
    say(f"KV cache: {now:,} tokens, as planned or as before")


def load(root: Path, awaited: Awaited, plan: Plan, say: Say) -> None:
    """EngineError when one of twelve short answers to four users fails."""
    words = ["run", "--base-url", awaited.gateway_url, "--model", plan.engines[0].served_name, *_LOAD, *_FAIR]
    environment = registry.client_environment(root)
    # No other user can read the environment of a process, and a file would have to be taken away.
    environment |= {"FULLBATCH_API_KEY": awaited.api_key(), "PYTHONPATH": str(root), "PYTHONSAFEPATH": "1"}
    say("a short load: 4 users, 12 answers")
    with tempfile.TemporaryDirectory() as folder:
        out = str(Path(folder) / "report")
        verdict = _verdict([sys.executable, "-m", "loadtest", *words, "--json", "--out", out], environment)
    if verdict.get("kind") not in ("clean", "met"):
        raise EngineError(f"a short load test: {verdict.get('headline') or 'it did not end'}")


def _verdict(command: list[str], environment: dict[str, str]) -> dict[str, Any]:
    try:
        answer = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=LOAD_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return {"headline": f"it has not ended after {LOAD_SECONDS:.0f} s"}
    try:
        found: dict[str, Any] = json.loads(answer.stdout)["verdict"]
    except (ValueError, KeyError, TypeError):
        last = (answer.stderr.strip().splitlines() or ["no answer"])[-1]
        return {"headline": last[:300]}
    return found


@dataclass(frozen=True)
class Judge:
    """All of it. `look`: what runs, for its metrics."""

    root: Path
    plan: Plan
    timeout: float
    look: Callable[[], RunningDeployment | None]

    def judge(self, awaited: Awaited, was: Before, say: Say) -> None:
        """EngineError with the first thing that is not good."""
        seconds = token(awaited, self.plan, say, self.timeout)
        say(f"a token came back through the gateway after {seconds:.0f} s")
        running = self.look()
        kv(deployment.kv_tokens_reported(running.engine_metrics()) if running else None, self.plan, was, say)
        load(self.root, awaited, self.plan, say)
        failure = awaited.failure()
        if failure:
            raise EngineError(failure)
