"""A Hugging Face cache in a folder of this machine, which other programs use too."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fullbatch.runtime import hub_cache
from fullbatch.runtime.base import WeightStore
from fullbatch.runtime.hub_cache import Revision


class HubFolder(WeightStore):
    """The cache at `folder`."""

    shared = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.where = str(self.folder)

    def revisions(self) -> list[Revision]:
        return hub_cache.scan(self.folder)

    def remove(self, chosen: Sequence[tuple[str, str]]) -> int:
        return hub_cache.remove(self.folder, chosen)
