"""The registry of runtimes and of targets, and what runs in any of them. The only place that names them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from common.faults import did_you_mean
from fullbatch.core.errors import StateError, UsageError
from fullbatch.planning.plan import Plan
from fullbatch.runtime.base import (
    ExportTarget,
    Held,
    MeasuredDeployment,
    Ports,
    RunningDeployment,
    Runtime,
    WeightStore,
)
from fullbatch.runtime.compose.runtime import ComposeRuntime
from fullbatch.runtime.kubernetes.target import KubernetesTarget
from fullbatch.runtime.process.runtime import ProcessRuntime
from fullbatch.runtime.swarm.target import SwarmTarget

# In the order in which what runs is looked for.
RUNTIMES: tuple[Runtime, ...] = (ProcessRuntime(), ComposeRuntime())
# What a plan can be written for beside: nothing here starts it.
TARGETS: tuple[ExportTarget, ...] = (SwarmTarget(), KubernetesTarget())
# `auto` takes the first that can be used here; any other only when it is named.
AUTO = ("compose", "process")
AUTO_IN_WORDS = "Compose where Docker answers, else plain processes"


class MeasuringRuntime(Protocol):
    """One that can start several plans beside each other, each on ports of its own, for a load test."""

    name: str

    def deployment(self, root: Path, plan: Plan, ports: Ports) -> MeasuredDeployment:
        """`plan`, to be started and measured."""


def measuring() -> MeasuringRuntime:
    """The runtime of `demo` and `compare`."""
    return ProcessRuntime()


def names() -> list[str]:
    """What `--runtime` takes beside `auto`, sorted."""
    return sorted(one.name for one in RUNTIMES)


def of(name: str) -> Runtime:
    """The runtime `name`; UsageError when there is none."""
    for one in RUNTIMES:
        if one.name == name:
            return one
    listing = ", ".join(names())
    raise UsageError(f"--runtime {name}: no such runtime{did_you_mean(name, names())}; there are: {listing}")


def target(name: str) -> ExportTarget:
    """The target `name`; UsageError when there is none."""
    known = {one.name: one for one in TARGETS}
    if name in known:
        return known[name]
    listing = ", ".join(sorted(known))
    raise UsageError(f"export {name}: no such target{did_you_mean(name, known)}; there are: {listing}")


def choose(asked: str) -> Runtime:
    """The runtime that was asked for; for `auto` the first that can be used here, else the last."""
    if asked != "auto":
        return of(asked)
    return next((found for name in AUTO if not (found := of(name)).problem()), of(AUTO[-1]))


def running(root: Path) -> Iterator[RunningDeployment]:
    """Everything that this checkout runs. Asking Docker takes a while, so take no more than you need."""
    for runtime in RUNTIMES:
        yield from runtime.running(root)


def only(root: Path, profile: str | None, how: str) -> RunningDeployment | None:
    """The deployment `profile`, or the one that runs; None when there is none.

    StateError when a runtime has several to choose from; `how`: what to type then.
    """
    for runtime in RUNTIMES:
        found = [one for one in runtime.running(root) if profile in (None, one.profile)]
        if len(found) > 1:
            listing = ", ".join(one.profile for one in found)
            raise StateError(f"several profiles are running ({listing}); name one: {how}")
        if found:
            return found[0]
    return None


def stopped(root: Path, profile: str | None) -> RunningDeployment | None:
    """What is left of `profile` (None: of anything) in the first runtime that has kept something."""
    return next((left for one in RUNTIMES if (left := one.stopped(root, profile))), None)


def held(root: Path) -> Held:
    """Processes and ports of this machine that are ours."""
    found = [one.held(root) for one in RUNTIMES]
    return Held(
        {pid: profile for one in found for pid, profile in one.processes.items()},
        {port: profile for one in found for port, profile in one.published.items()},
    )


def weight_stores(root: Path) -> list[WeightStore]:
    """Every place with weights; one that several runtimes use once."""
    stores = {store.where: store for one in RUNTIMES for store in one.weights(root)}
    return list(stores.values())


def client_environment(root: Path) -> dict[str, str]:
    """The environment of a client that is to find what runs here; what the environment itself says goes first."""
    found: dict[str, str] = {}
    for one in RUNTIMES:
        found = one.client_settings(root) | found
    return dict(os.environ) if found.keys() & os.environ.keys() else found | os.environ
