"""Models that came in packages, in a folder of this checkout."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from fullbatch.packaged import store
from fullbatch.runtime.base import WeightStore
from fullbatch.runtime.hub_cache import Revision


class PackageFolder(WeightStore):
    """What `fullbatch.packaged` has made below `models`: each package in its version, called as profiles call it."""

    shared = False

    def __init__(self, models: Path) -> None:
        self.folder = models / "packages"
        self.where = str(self.folder)

    def revisions(self) -> list[Revision]:
        return [_revision(one) for one in sorted(self.folder.glob("[!.]*-*")) if one.is_dir()]

    def remove(self, chosen: Sequence[tuple[str, str]]) -> int:
        freed = 0
        for name, version in chosen:
            folder = self.folder / f"{name.removeprefix('pypi:')}-{version}"
            freed += _size(folder)
            shutil.rmtree(folder)
        return freed


def _revision(folder: Path) -> Revision:
    name, _, version = folder.name.rpartition("-")
    used = max((max(file.stat().st_atime, file.stat().st_mtime) for file in folder.iterdir()), default=0.0)
    size = _size(folder)
    return Revision(f"pypi:{name}", version, size, size, used, fetching=not _is_made(folder))


def _is_made(folder: Path) -> bool:
    """Whether it says what it was made of; digests are compared where it is served."""
    try:
        return bool(json.loads((folder / store.MANIFEST).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return False


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())
