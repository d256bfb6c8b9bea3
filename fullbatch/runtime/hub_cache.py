"""``python hub_cache.py FOLDER [--remove NAME@REVISION …]``: what a cache of Hugging Face's hub holds; taking it away.

Also run by the gateway's image where the cache is a volume of Docker's, so it imports nothing of ours. The layout, as
of huggingface_hub 2.4: ``models--ORG--NAME/{blobs,refs,snapshots/REVISION}``; a snapshot's files are links to blobs,
which revisions share.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_PREFIX = "models--"
# A download that has written nothing for so long was given up.
_FRESH_SECONDS = 3600.0


@dataclass(frozen=True)
class Revision:
    """One revision of a model. `size`: bytes of its files, those shared with other revisions included; `own`: bytes
    that would be free without it. `used`: when a file was last read or written, seconds since the epoch (a file system
    mounted noatime knows of writes only). `branches`: names that mean it. `fetching`: a download writes there now.
    """

    name: str
    revision: str
    size: int
    own: int
    used: float
    branches: tuple[str, ...] = ()
    fetching: bool = False


def scan(hub: Path) -> list[Revision]:
    """Every revision in the cache at `hub`, by name; empty where there is none."""
    folders = sorted(hub.glob(f"{_PREFIX}*")) if hub.is_dir() else []
    return [one for folder in folders if folder.is_dir() for one in _revisions(folder)]


def remove(hub: Path, chosen: Iterable[tuple[str, str]]) -> int:
    """Take away these revisions (name, revision) and what only they hold; bytes freed. KeyError for one not there."""
    freed = 0
    for name, revision in chosen:
        known = {(one.name, one.revision): one for one in scan(hub)}
        one = known[name, revision]
        folder = _folder(hub, name)
        if len([other for other in known if other[0] == name]) == 1:
            freed += _disk(folder)
            shutil.rmtree(folder)
            shutil.rmtree(hub / ".locks" / folder.name, ignore_errors=True)
            continue
        gone = _blobs(folder / "snapshots" / revision)
        shutil.rmtree(folder / "snapshots" / revision)
        for branch in one.branches:
            (folder / "refs" / branch).unlink()
        kept = {blob for other in (folder / "snapshots").iterdir() for blob in _blobs(other)}
        for blob in gone - kept:
            if blob.parent == folder / "blobs":
                blob.unlink()
        freed += one.own
    return freed


def _folder(hub: Path, name: str) -> Path:
    return hub / f"{_PREFIX}{name.replace('/', '--')}"


def _revisions(folder: Path) -> list[Revision]:
    name = folder.name.removeprefix(_PREFIX).replace("--", "/")
    blobs = {one: _blobs(one) for one in sorted(_entries(folder / "snapshots")) if one.is_dir()}
    branches: dict[str, list[str]] = {}
    for path in (folder / "refs").rglob("*"):
        if path.is_file():
            branch = str(path.relative_to(folder / "refs"))
            branches.setdefault(path.read_text(encoding="utf-8").strip(), []).append(branch)
    fetching = any(time.time() - path.stat().st_mtime < _FRESH_SECONDS for path in folder.glob("blobs/*.incomplete"))
    found = []
    for snapshot, files in blobs.items():
        others = {blob for other, theirs in blobs.items() if other != snapshot for blob in theirs}
        found.append(
            Revision(
                name,
                snapshot.name,
                sum(_size(one) for one in files),
                sum(_size(one) for one in files - others) if len(blobs) > 1 else _disk(folder),
                max((_used(one) for one in files), default=snapshot.stat().st_mtime),
                tuple(sorted(branches.get(snapshot.name, []))),
                fetching,
            )
        )
    # A download that never came to a snapshot holds its blobs all the same.
    if not blobs and _disk(folder):
        found.append(Revision(name, "", 0, _disk(folder), folder.stat().st_mtime, (), fetching))
    return found


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _blobs(snapshot: Path) -> set[Path]:
    """What a snapshot's files are: blobs, or files of its own where links could not be made."""
    return {path.resolve() for path in snapshot.rglob("*") if path.is_file()}


def _size(path: Path) -> int:
    return path.stat().st_size


def _used(path: Path) -> float:
    status = path.stat()
    return max(status.st_atime, status.st_mtime)


def _disk(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def main() -> int:
    parser = argparse.ArgumentParser(prog="hub_cache.py", description="What a cache of the hub holds, as JSON.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--remove", nargs="*", default=[], metavar="NAME@REVISION")
    options = parser.parse_args()
    if options.remove:
        chosen = [tuple(one.rsplit("@", 1)) for one in options.remove]
        sys.stdout.write(json.dumps({"freed": remove(options.folder, chosen)}) + "\n")
    else:
        sys.stdout.write(json.dumps([dataclasses.asdict(one) for one in scan(options.folder)]) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
