"""Looks at a profile's adapters before anything is planned: what they are, whether they fit, which commit is served."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fullbatch import catalog
from fullbatch.catalog import Model, adapter_config
from fullbatch.core.errors import FullbatchError, HostError, UsageError
from fullbatch.hub import adapters as hub
from fullbatch.hub.models import REPOSITORY
from fullbatch.planning.adapters import COMMIT
from fullbatch.planning.sources import CACHE


def resolved(root: Path, data: dict[str, Any], own: Model | None, where: str) -> dict[str, Any]:
    """`data`, a profile as it was read, with the rank and the commit of each of its `adapters` filled in.

    What is no such setting is left as it is, for the profile's own check. `own`: its model, where that is not the
    catalog's; `where`: what a message begins with.

    Raises:
        FullbatchError: one that is not there, is none, or does not fit its model; all of them at once.
    """
    settings, name = data.get("adapters"), data.get("model")
    model = own or (catalog.models().get(name) if isinstance(name, str) else None)
    if not isinstance(settings, dict) or model is None:
        return data
    found, faults = {}, []
    for name, setting in settings.items():
        try:
            found[name] = _resolved(root, setting, model)
        except FullbatchError as error:
            faults.append(f"{where}: adapters.{name}: {error}")
    if faults:
        raise UsageError(*faults)
    return data | {"adapters": found}


def _resolved(root: Path, setting: Any, model: Model) -> Any:
    data = {"source": setting} if isinstance(setting, str) else setting
    if not isinstance(data, dict) or not isinstance(data.get("source"), str):
        return setting
    source, given, any_base = data["source"], data.get("rank"), data.get("any_base") is True
    if source.startswith("/"):
        if data.get("revision") is not None:
            raise UsageError("a folder has no revision; remove it")
        facts = adapter_config.read(Path(source), model, any_base=any_base)
        return data | {"rank": _rank(facts.kept_rank, given)}
    if source.startswith(("~", "./", "../")) or not REPOSITORY.fullmatch(source):
        raise UsageError(f"'{source}': write ORG/NAME of the hub, or the whole path of a folder")
    if model.package or model.name == "tiny":
        raise UsageError(f"{model.name} is fetched from no hub, nor are its adapters; name a folder that holds one")
    return data | _of_the_hub(root, source, data, model)


def _of_the_hub(root: Path, source: str, data: dict[str, Any], model: Model) -> dict[str, Any]:
    revision, given = data.get("revision"), data.get("rank")
    revision = revision if isinstance(revision, str) else None
    try:
        commit, facts = hub.find(source, revision, model, root / CACHE, any_base=data.get("any_base") is True)
    except HostError as error:
        if given is not None and revision and COMMIT.fullmatch(revision):
            return {}  # said is all that a plan needs
        raise HostError(f"{error}; or give its rank and, as revision, the whole commit") from error
    return {"revision": commit, "rank": _rank(facts.kept_rank, given)}


def _rank(own: int, given: Any) -> Any:
    """The one that is kept for it; a larger one may be asked for, and what is none is the profile's to refuse."""
    if isinstance(given, int) and not isinstance(given, bool) and given < own:
        raise UsageError(f"rank {given} is less than its own, {own}; remove it")
    return own if given is None else given
