"""Finds weights on this machine, the profiles that need them, and those that nobody needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from common.faults import did_you_mean
from fullbatch import catalog
from fullbatch.core.errors import StateError, UsageError
from fullbatch.planning import deployments, profile
from fullbatch.planning.engine_plan import EnginePlan
from fullbatch.runtime import registry
from fullbatch.runtime.base import RunningDeployment, WeightStore
from fullbatch.runtime.hub_cache import Revision


@dataclass(frozen=True)
class StoredRevision:
    """A revision that lies in `store`. `wanted_by`: profiles that serve it; `in_use`: by what, None when by nobody."""

    store: WeightStore
    revision: Revision
    wanted_by: tuple[str, ...]
    in_use: str | None


@dataclass(frozen=True)
class Inventory:
    """All of them. `unread`: a line for each profile that cannot be read, whose wishes are not known.

    `unknown`: a line for each deployment that runs and does not say what it serves.
    """

    kept: tuple[StoredRevision, ...]
    unread: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


def inventory(root: Path) -> Inventory:
    """What lies in every store of every runtime."""
    wishes, unread = _wishes(root)
    running = list(registry.running(root))
    used = _used(running)
    kept = [
        StoredRevision(store, one, _wanting(one, wishes), "a download" if one.fetching else used.get(one.name))
        for store in registry.weight_stores(root)
        for one in store.revisions()
    ]
    silent = [one.profile for one in running if one.facts is None]
    unknown = [f"profile '{name}' runs, and what it serves is not known; `fullbatch down` it first" for name in silent]
    return Inventory(tuple(kept), tuple(unread), tuple(unknown))


def prunable(found: Inventory, names: Sequence[str]) -> list[StoredRevision]:
    """What to take away: the revisions called `names` (MODEL or MODEL@REVISION), else all that no profile wants.

    Never what runs: UsageError or StateError where a name is none, or is in use. Where other programs keep theirs too,
    only models of the catalog go without being named.
    """
    if found.unknown:
        raise StateError(*found.unknown)
    if names:
        return [one for name in names for one in _named(found, name)]
    if found.unread:
        raise UsageError(*found.unread, "weights prune: correct these profiles first, or name what to remove")
    ours = catalog.models()
    return [
        one
        for one in found.kept
        if not one.wanted_by and one.in_use is None and (not one.store.shared or one.revision.name in ours)
    ]


def remove(chosen: Sequence[StoredRevision]) -> int:
    """Take them away; bytes freed."""
    stores = {id(one.store): one.store for one in chosen}
    return sum(
        store.remove([(one.revision.name, one.revision.revision) for one in chosen if one.store is store])
        for store in stores.values()
    )


def _named(found: Inventory, name: str) -> list[StoredRevision]:
    model, _, revision = name.partition("@")
    chosen = [one for one in found.kept if one.revision.name == model and one.revision.revision.startswith(revision)]
    if not chosen:
        hint = did_you_mean(model, {one.revision.name for one in found.kept})
        raise UsageError(f"weights prune: '{name}' is not here{hint}; see `fullbatch weights list`")
    for one in chosen:
        if one.in_use:
            raise StateError(f"weights prune: {one.revision.name} is in use by {one.in_use}; stop that first")
    return chosen


def _wishes(root: Path) -> tuple[list[tuple[str, str, str | None]], list[str]]:
    """Profile, model and revision (None: what `main` is) of each profile; a line for each that cannot be read."""
    wishes: list[tuple[str, str, str | None]] = []
    unread = []
    for name in profile.names(root):
        try:
            models = deployments.planned(root, name).models
        except UsageError as error:
            unread.append(str(error).splitlines()[0])
            continue
        for engine in (model.engines[0] for model in models):
            wishes += _wished(name, engine)
    return wishes, unread


def _wished(name: str, engine: EnginePlan) -> list[tuple[str, str, str | None]]:
    """What one model of the profile `name` needs."""
    wishes: list[tuple[str, str, str | None]] = []
    if engine.package:
        wishes.append((name, engine.model, engine.package.version))
    elif engine.needs_weights:
        wishes.append((name, engine.model, engine.revision))
    wishes += [(name, one.source, one.commit) for one in engine.loras if not one.folder]
    if engine.beside.draft_model:
        wishes.append((name, engine.beside.draft_model, None))
    return wishes


def _wanting(one: Revision, wishes: Sequence[tuple[str, str, str | None]]) -> tuple[str, ...]:
    means = {one.revision, *one.branches}
    return tuple(name for name, model, revision in wishes if model == one.name and (revision or "main") in means)


def _used(running: Sequence[RunningDeployment]) -> dict[str, str]:
    """Model -> who uses it: every vLLM on this machine, whoever has started it, and what this checkout runs."""
    found = {}
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        after = words[words.index("serve") + 1 :] if "serve" in words else []
        if after:
            found[after[0]] = f"process {process.pid}"
    for one in running:
        served = [one.facts.words.get(word) for word in ("model", "draft")] if one.facts else []
        found |= {name: f"profile '{one.profile}'" for name in served if name}
    return found
