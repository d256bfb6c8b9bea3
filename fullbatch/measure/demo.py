"""The main job in one go: start a profile, drive the concurrency plan through the gateway, report, stop."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from fullbatch.lifecycle import deployment
from fullbatch.measure import launcher
from fullbatch.planning.plan import Plan
from fullbatch.runtime import registry
from fullbatch.runtime.base import MeasuredDeployment, Say


@dataclass(frozen=True)
class ConcurrencyPlan:
    """The concurrency plan: users per stage, and requests each of them sends. Tokens are per request."""

    users: str = "1,5,10,50"
    requests_per_user: int = 4
    prompt_tokens: int = 128
    max_tokens: int = 64


def run(root: Path, plan: Plan, options: deployment.Options, load: ConcurrencyPlan, say: Say) -> int:
    """The load test's exit code. Whatever happens, what was started is stopped."""
    running = registry.measuring().deployment(root, plan, options.ports)
    began = time.monotonic()
    seconds = deployment.up(running, plan, options, say)
    try:
        say(f"the first token came back through the gateway after {seconds:.0f} s")
        out = root / "reports" / time.strftime("%Y-%m-%d_%H-%M-%S")
        out.mkdir(parents=True)
        launcher.write_meta(out / "meta.json", plan, running, seconds)
        code = launcher.loadtest(_words(running, plan, load, out), root)
    finally:
        running.stop(say)
    say(f"everything is stopped; the whole run took {time.monotonic() - began:.0f} s")
    return code


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
