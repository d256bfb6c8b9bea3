"""The main job in one go: start a profile, drive the concurrency plan through the gateway, report, stop."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from fullbatch import client, deployment, host
from fullbatch.plan import Plan
from fullbatch.runtime import Say, interrupts
from fullbatch.runtime.process import ProcessDeployment

# What the load test may take to write its report after Ctrl-C.
LOADTEST_PATIENCE_SECONDS = 20.0
# Client, gateway and engine share this machine's cores here, so the client is now and then a few ms late (1.1 to 3.1 at
# p99 on two cores). Beyond this the run is called invalid; the report shows limit and lag. A published run keeps 2 ms.
MAX_LAG_MS = 10


@dataclass(frozen=True)
class Load:
    """The concurrency plan: users per stage, and requests each of them sends. Tokens are per request."""

    users: str = "1,5,10,50"
    requests_per_user: int = 4
    prompt_tokens: int = 128
    max_tokens: int = 64


def run(root: Path, plan: Plan, options: deployment.Options, load: Load, say: Say) -> int:
    """The load test's exit code. Whatever happens, what was started is stopped."""
    running = ProcessDeployment(root, plan, options.ports)
    began = time.monotonic()
    seconds = deployment.up(running, plan, options, say)
    try:
        say(f"the first token came back through the gateway after {seconds:.0f} s")
        out = root / "reports" / time.strftime("%Y-%m-%d_%H-%M-%S")
        out.mkdir(parents=True)
        meta = out / "meta.json"
        meta.write_text(json.dumps(_meta(plan, running, seconds), indent=2) + "\n", encoding="utf-8")
        code = _loadtest(_command(running, plan, load, out), root)
    finally:
        running.stop(say)
    say(f"everything is stopped; the whole run took {time.monotonic() - began:.0f} s")
    return code


def _command(running: ProcessDeployment, plan: Plan, load: Load, out: Path) -> list[str]:
    words = [
        sys.executable, "-m", "loadtest", "run",
        "--base-url", running.gateway_url,
        "--model", plan.engines[0].served_name,
        "--api-key-file", str(running.api_keys_file),
        "--users", load.users,
        "--requests-per-user", str(load.requests_per_user),
        "--prompt-tokens", str(load.prompt_tokens),
        "--max-tokens", str(load.max_tokens),
        "--max-lag-ms", str(MAX_LAG_MS),
        "--meta", str(out / "meta.json"),
        "--out", str(out),
    ]  # fmt: skip
    for url in running.engine_urls():
        words += ["--engine-metrics", f"{url}/metrics"]
    for pid in running.engine_pids():
        words += ["--pid", str(pid)]
    return words


def _loadtest(command: list[str], root: Path) -> int:
    try:
        with interrupts.deferred():
            process = subprocess.Popen(command, cwd=root)
        return process.wait()
    except KeyboardInterrupt:
        # From a terminal it got the same Ctrl-C; a signal sent to us alone must reach it too.
        process.send_signal(signal.SIGINT)
        try:
            process.wait(LOADTEST_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        raise


def _meta(plan: Plan, running: ProcessDeployment, startup_seconds: float) -> dict[str, object]:
    engine = plan.engines[0]
    metrics = "".join(client.get(f"{url}/metrics").text for url in running.engine_urls())
    return {
        "profile": plan.name,
        "description": plan.description,
        "runtime": "process",
        "engine": f"vLLM {plan.engine_version} ({engine.device})",
        "model": engine.model,
        # Without the address, which says nothing about speed.
        "command": " ".join(["vllm", "serve", *engine.command("MODEL", "HOST", 0)[:-4]]),
        "environment": " ".join(f"{name}={value}" for name, value in engine.environment),
        "kv_tokens_planned": plan.capacity.kv_tokens,
        "kv_tokens_reported": deployment.kv_tokens_reported(metrics),
        "startup_seconds": round(startup_seconds, 1),
        "machine": host.machine().in_words(),
    }
