"""A LoRA adapter by its repository's name: described by the hub once, then from a file, also without a network."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from fullbatch.catalog import Model, adapter_config
from fullbatch.catalog.adapter_config import CONFIG, WEIGHTS, AdapterFacts
from fullbatch.core.errors import UsageError
from fullbatch.hub import client
from fullbatch.hub.models import keep

_MAIN = "main"


def find(
    name: str, revision: str | None, model: Model, cache: Path, *, any_base: bool = False
) -> tuple[str, AdapterFacts]:
    """The commit that is pinned from then on, and the adapter in repository `name`, to be served with `model`.

    Raises:
        UsageError: there is no such adapter, or none that the engine serves with this model.
        HostError: the hub does not answer, and it was not described before.
    """
    path = cache / f"adapter--{name.replace('/', '--')}@{(revision or _MAIN).replace('/', '--')}.json"
    found = _read(path)
    if found is None:
        found = _described(name, revision or _MAIN)
        keep(path, found)
    facts = adapter_config.parse(found["config"].encode(), Path(name) / CONFIG)
    shapes = adapter_config.shapes(base64.b64decode(found["header"]), Path(name) / WEIGHTS, int(found["size"]))
    adapter_config.refuse_misfit(facts, shapes, model, name, any_base=any_base)
    return str(found["commit"]), facts


def _described(name: str, revision: str) -> dict[str, Any]:
    said = client.described(name, revision)
    commit = str(said.get("sha") or revision)
    files = {str(one["rfilename"]): one.get("size") or 0 for one in said["siblings"] if "rfilename" in one}
    if CONFIG not in files:
        raise UsageError(f"{name} has no {CONFIG}: it is no LoRA adapter; name a repository that holds one")
    if WEIGHTS not in files:
        raise UsageError(adapter_config.without_weights(name, list(files)))
    config = client.beginning(name, commit, CONFIG, adapter_config.MOST_CONFIG_BYTES)
    start = client.beginning(name, commit, WEIGHTS, 8)
    length = min(int.from_bytes(start, "little"), adapter_config.MOST_HEADER_BYTES)
    header = client.beginning(name, commit, WEIGHTS, 8 + length)
    return {
        "commit": commit,
        "config": config.decode("utf-8", "replace"),
        "header": base64.b64encode(header).decode(),
        "size": files[WEIGHTS],
    }


def _read(path: Path) -> dict[str, Any] | None:
    """A description that was kept; None where there is none, or not a whole one."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        found["commit"], found["config"], base64.b64decode(found["header"]), int(found["size"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return dict(found)
