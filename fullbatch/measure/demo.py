"""`fullbatch demo`: starts a profile, asks it a question, load-tests it through the gateway, reports, stops."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from fullbatch.chat.screen import Screen
from fullbatch.lifecycle import deployment
from fullbatch.measure import first_answer, launcher
from fullbatch.planning.plan import Plan
from fullbatch.runtime import registry
from fullbatch.runtime.base import MeasuredDeployment, Say


@dataclass(frozen=True)
class ConcurrencyPlan:
    """The concurrency plan: users per stage, and requests each of them sends. Tokens are per request."""

    users: str
    requests_per_user: int
    prompt_tokens: int
    max_tokens: int


@dataclass(frozen=True)
class ConcurrencyWishes:
    """The same as far as somebody has said it; None: what suits the profile."""

    users: str = "1,5,10,50"
    requests_per_user: int | None = None
    prompt_tokens: int | None = None
    max_tokens: int | None = None


@dataclass(frozen=True)
class DemoRequest:
    """`keep`: what was started goes on, once it was measured."""

    options: deployment.Options
    load: ConcurrencyWishes = ConcurrencyWishes()
    keep: bool = False


def load_for(plan: Plan, wished: ConcurrencyWishes) -> ConcurrencyPlan:
    """What is driven through `plan` where nobody says otherwise: a real model on a processor gets a shorter load.

    All of 1, 5, 10 and 50 users are to be over within a minute on two cores.
    """
    engine = plan.engines[0]
    short = engine.device == "cpu" and engine.model != "tiny"
    requests, prompt, answer = (3, 64, 32) if short else (8, 128, 128)
    return ConcurrencyPlan(
        wished.users, wished.requests_per_user or requests, wished.prompt_tokens or prompt, wished.max_tokens or answer
    )


def run(root: Path, plan: Plan, request: DemoRequest, screen: Screen, say: Say) -> tuple[int, MeasuredDeployment]:
    """The load test's exit code, and what was started. It is stopped whatever happens, unless all went on to the report
    and `keep` was asked for."""
    running = registry.measuring().deployment(root, plan, request.options.ports)
    began = time.monotonic()
    seconds = deployment.up(running, plan, request.options, say)
    keep = False
    try:
        say(f"the first token came back through the gateway after {seconds:.0f} s")
        if plan.engines[0].model != "tiny":  # its weights are random: it has nothing to say
            first_answer.ask(running.gateway_url, running.api_keys_file, plan, screen, say)
        out = root / "reports" / time.strftime("%Y-%m-%d_%H-%M-%S")
        out.mkdir(parents=True)
        launcher.write_meta(out / "meta.json", plan, running, seconds)
        code = launcher.loadtest(_words(running, plan, load_for(plan, request.load), out), root)
        keep = request.keep
    finally:
        if not keep:
            running.stop(say)
    took = f"the whole run took {time.monotonic() - began:.0f} s"
    say(f"{plan.name} goes on; {took}" if keep else f"everything is stopped; {took}")
    return code, running


def _words(running: MeasuredDeployment, plan: Plan, load: ConcurrencyPlan, out: Path) -> list[str]:
    words = [
        "run",
        "--base-url", running.gateway_url,
        "--model", plan.engines[0].served_name,
        "--api-key-file", str(running.api_keys_file),
        "--users", load.users,
        "--requests-per-user", str(load.requests_per_user),
        "--prompt-tokens", str(load.prompt_tokens),
        "--max-tokens", str(load.max_tokens),
        "--max-lag-ms", str(launcher.MAX_LAG_MS),
        "--meta", str(out / "meta.json"),
        "--out", str(out),
    ]  # fmt: skip
    for url in running.engine_urls():
        words += ["--engine-metrics", f"{url}/metrics"]
    for pid in running.engine_pids():
        words += ["--pid", str(pid)]
    return words
