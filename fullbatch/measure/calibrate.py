"""`fullbatch calibrate`: compares the memory of a running engine with its plan."""

from __future__ import annotations

import datetime
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fullbatch import catalog
from fullbatch.core import host
from fullbatch.core.errors import StateError, not_running
from fullbatch.lifecycle import deployment
from fullbatch.planning.plan import Plan
from fullbatch.runtime import registry

LOG_LINES = 20_000
# What 0.32's worker writes while it starts, and the name it gets in a run; GiB (v1/worker/gpu_worker.py).
_LOGGED = {
    "weights_gib": r"Model loading took ([\d.]+) GiB",
    "kv_cache_gib": r"Available KV cache memory: ([\d.]+) GiB",
    "graphs_estimated_gib": r"Estimated CUDA graph memory: ([\d.]+) GiB",
    "consumed_gib": r"Actual usage is ([\d.]+) GiB for consumed memory",
    "activation_gib": r"([\d.]+) GiB for peak activation",
    "graphs_gib": r"([\d.]+) GiB for CUDAGraph memory",
}


@dataclass(frozen=True)
class EngineReport:
    """What a running deployment says: its engines' /metrics, the first one's log, and the main memory of all, GiB."""

    metrics: str
    log: list[str]
    process_gib: float | None


def running(root: Path, name: str | None) -> tuple[str, EngineReport]:
    """The profile that runs (`name`, or the only one), and what its engines say; StateError when none does."""
    found = registry.only(root, name, "fullbatch calibrate PROFILE")
    if found is None:
        raise not_running(name)
    return found.profile, EngineReport(found.engine_metrics(), found.engine_log(LOG_LINES), found.engine_memory_gib())


def measure(plan: Plan, said: EngineReport, today: datetime.date) -> dict[str, Any]:
    """One run: tokens predicted and reported, their difference, and where memory went; StateError when it is early.

    `beside_gib`: main memory of the processes that is neither weights nor KV cache, a negative number where the pool
    has not been touched yet.
    """
    reported = deployment.kv_tokens_reported(said.metrics)
    if reported is None:
        raise StateError(
            f"the engine of '{plan.name}' reports no KV cache yet; wait until `fullbatch status` says it answers"
        )
    engine, predicted = plan.engines[0], plan.capacity.kv_tokens
    run: dict[str, Any] = {
        "date": today.isoformat(),
        "profile": plan.name,
        "engine": f"vLLM {plan.engine_version} ({engine.device})",
        "machine": host.machine().in_words(),
        "context": engine.max_model_len,
        "engines": len(plan.engines),
        "kv_tokens_predicted": predicted,
        "kv_tokens_reported": reported,
        "error": round(reported / predicted - 1, 4),
    }
    run |= logged(said.log)
    if said.process_gib is not None:
        run["process_gib"] = round(said.process_gib, 2)
        if engine.device == "cpu":
            run["beside_gib"] = round(said.process_gib - plan.budget.total_gib, 2)
    return run


def logged(log: list[str]) -> dict[str, float]:
    """The memory that the engine's log names, GiB; what it does not name is left out."""
    text = "\n".join(log)
    found = {name: re.findall(pattern, text) for name, pattern in _LOGGED.items()}
    return {name: float(values[-1]) for name, values in found.items() if values}


def keep(run: dict[str, Any], path: Path | None = None) -> Path:
    """Append `run` to the data file; its path."""
    path = path or catalog.calibration_file()
    text = yaml.safe_dump([run], sort_keys=False, allow_unicode=True, width=120)
    with path.open("a", encoding="utf-8") as file:
        file.write(textwrap.indent(text, "  "))
    return path


def as_text(run: dict[str, Any]) -> str:
    """A run for a person, a line for each figure."""
    return "\n".join(
        f"{name:22}{value:+.2%}" if name == "error" else f"{name:22}{value}" for name, value in run.items()
    )
