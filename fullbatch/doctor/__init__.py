"""`fullbatch doctor`: checks whether this machine can run a profile."""

from __future__ import annotations

import os
from pathlib import Path

from fullbatch.core.check_result import CheckResult, ok, warn
from fullbatch.doctor import cards, nvidia, serving, system
from fullbatch.planning.plan import Plan
from fullbatch.runtime import registry
from fullbatch.runtime.base import Held, Ports, Runtime
from fullbatch.service import boot


def examine(root: Path, plan: Plan | None, asked: str, ports: Ports) -> tuple[str, list[CheckResult]]:
    """The runtime that was judged, and every check for `plan`; without one only what holds for any."""
    runtime, held = registry.choose(asked), registry.held(root)
    found = [system.python(), *_present(runtime, plan), *system.windows(root)]
    found += [system.memory(plan), system.cores(plan, len(os.sched_getaffinity(0)))]
    found += _cards(plan, held)
    if plan is not None:
        found += [system.instructions()] if plan.engines[0].device == "cpu" else []
        found += [*runtime.examine(root, plan, ports, held), *serving.network(), boot.verdict(root, plan, runtime)]
        for one in registry.RUNTIMES:
            found += serving.last_run(one.last_log(root, plan, serving.LOG_LINES), plan)
    return runtime.name, found


def _present(chosen: Runtime, plan: Plan | None) -> list[CheckResult]:
    """What each runtime needs of this machine; of those that were not chosen it is no fault that it is missing."""
    return [
        found
        for one in registry.RUNTIMES
        for found in one.present(plan, None if one.name == chosen.name else chosen.about)
    ]


def _cards(plan: Plan | None, held: Held) -> list[CheckResult]:
    if plan is not None and not plan.engines[0].gpus:
        return []
    seen = nvidia.read()
    if plan is not None:
        return cards.judge(seen, plan, dict(held.processes))
    if seen.problem:
        return [warn("driver", f"{seen.problem}; only cpu profiles run", seen.fix)]
    return [ok("card", f"{one.index}: {one.name}, driver {one.driver}") for one in seen.cards]
