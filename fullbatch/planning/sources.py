"""Where a model that the catalog lacks is described: a folder of this machine, or a repository of the hub."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from common.faults import did_you_mean
from fullbatch import catalog
from fullbatch.catalog import Model, config_json
from fullbatch.core.errors import FullbatchError, UsageError
from fullbatch.hub import models as hub

# Where descriptions of repositories are kept, below the checkout.
CACHE = Path(".fullbatch/hub")


def find(root: Path, model: Any, revision: Any, where: str) -> Model | None:
    """The facts of `model`; None where it is the catalog's, or no name of any.

    Raises:
        FullbatchError: a folder or a repository that describes none, or the hub does not answer; begins with `where`.
    """
    if not isinstance(model, str) or model in catalog.models():
        return None
    try:
        if model.startswith(("~", "./", "../")):
            raise UsageError(f"'{model}': write the whole path of the folder, such as /srv/models/mine")
        if model.startswith("/"):
            return dataclasses.replace(config_json.read(Path(model) / "config.json"), name=model)
        if hub.REPOSITORY.fullmatch(model):
            return hub.find(model, revision if isinstance(revision, str) else None, root / CACHE)
    except FullbatchError as error:
        raise type(error)(f"{where}: {error}{did_you_mean(model, catalog.models())}") from error
    return None
