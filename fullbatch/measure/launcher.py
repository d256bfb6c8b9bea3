"""Starts the load test as a program, and tells it what the report should know of the deployment."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from common.secrets import masked
from fullbatch.core import host, http
from fullbatch.lifecycle import deployment
from fullbatch.planning.plan import Plan
from fullbatch.runtime import interrupts, registry
from fullbatch.runtime.base import MeasuredDeployment

# What the load test may take to write its report after Ctrl-C.
PATIENCE_SECONDS = 20.0
# Client, gateway and engine share this machine's cores here, so the client is now and then a few ms late (1.1 to 3.1 at
# p99 on two cores). Beyond this the run is called invalid; the report shows limit and lag. A published run keeps 2 ms.
MAX_LAG_MS = 10


def loadtest(
    words: Sequence[str], root: Path, typed: str = "fullbatch loadtest", output: BinaryIO | None = None
) -> int:
    """`python -m loadtest` with these words; its exit code. Ctrl-C reaches it, and it gets time to write its report.

    Paths among the words are as seen from where one is. `typed`: what its usage lines call it. What runs here is
    what it asks when nothing else is said. `output`: a file that gets all it prints, else it prints here.
    """
    environment = registry.client_environment(root)
    # It runs where the user is, since paths are meant from there; its modules are the checkout's, whatever lies there.
    path = os.pathsep.join([str(root), *filter(None, [environment.get("PYTHONPATH")])])
    environment |= {"FULLBATCH_TYPED": typed, "PYTHONPATH": path, "PYTHONSAFEPATH": "1"}
    try:
        with interrupts.deferred():
            process = subprocess.Popen(
                [sys.executable, "-m", "loadtest", *words], env=environment,
                stdout=output, stderr=subprocess.STDOUT if output else None,
            )  # fmt: skip
        return process.wait()
    except KeyboardInterrupt:
        # From a terminal it got the same Ctrl-C; a signal sent to us alone must reach it too.
        process.send_signal(signal.SIGINT)
        try:
            process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        raise


def report(words: Sequence[str], here: Path, root: Path) -> int:
    """`fullbatch report …`; its exit code."""
    chosen = report_words(words, here)
    return loadtest(chosen, root, "fullbatch" if chosen[0] == "report" else "fullbatch report")


def report_words(words: Sequence[str], here: Path) -> list[str]:
    """`report DIR`, `report diff A B`, `report table A B …` in the load test's words; paths as seen from `here`."""
    command = words[0] if words[:1] in (["diff"], ["table"]) else "report"
    rest = words if command == "report" else words[1:]
    return [command, *(_from(here, word, before) for before, word in zip(["", *rest], rest, strict=False))]


def _from(here: Path, word: str, before: str) -> str:
    """A path that is there, or that is still to be written; anything else is left as it is."""
    return str(here / word) if before in ("--html", "--csv") or (here / word).exists() else word


def write_meta(path: Path, plan: Plan, running: MeasuredDeployment, startup_seconds: float) -> None:
    """What of a deployment shapes the numbers: engine, flags, environment, KV cache, machine."""
    engine = plan.engines[0]
    metrics = "".join(http.metrics(url) for url in running.engine_urls())
    said = {
        "profile": plan.name,
        "description": plan.description,
        "runtime": registry.measuring().name,
        "engine": f"vLLM {plan.engine_version} ({engine.device})",
        "model": engine.model,
        # Without the address, which says nothing about speed.
        "command": masked(" ".join(["vllm", "serve", *engine.command("MODEL", "HOST", 0)[:-4]])),
        "environment": masked(" ".join(f"{name}={value}" for name, value in engine.environment)),
        "kv_tokens_planned": plan.capacity.kv_tokens,
        "kv_tokens_reported": deployment.kv_tokens_reported(metrics),
        "startup_seconds": round(startup_seconds, 1),
        "machine": host.machine().in_words(),
    }
    path.write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")
