"""`fullbatch init --update`: a folder that was laid out gets the files of this version, and keeps what is a person's.

It may be killed anywhere and started again: what is new already stays, and the manifest comes last.
"""

from __future__ import annotations

import datetime
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fullbatch.layout import listing, manifest, place
from fullbatch.layout.laying import CannotLay
from fullbatch.layout.manifest import LaidOut

BACKUPS = Path(".fullbatch") / "before-update"


@dataclass(frozen=True)
class FolderUpdate:
    """What an update does to a folder, by names of files. `kept`: a person's, which the new version has otherwise."""

    before: str
    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    kept: tuple[str, ...]
    lost: tuple[str, ...]  # of `changed` and `removed`, those that a person had edited: only the backup has them


def planned(folder: Path, version: str) -> FolderUpdate:
    """What would change.

    Raises:
        CannotLay: nothing was laid out there, or by a later version.
    """
    laid = manifest.read(folder)
    if laid is None:
        if (folder / ".git").exists():
            raise CannotLay(f"{folder}: is a clone; bring it up to date with git pull")
        raise CannotLay(f"{folder}: was not laid out by fullbatch init; lay out a new folder with: fullbatch init DIR")
    if _numbers(laid.version) > _numbers(version):
        raise CannotLay(
            f"{folder}: is of fullbatch {laid.version}, and this is {version}; install {laid.version} or later"
        )
    return _compared(folder, laid, listing.sources(place.HOME))


def carry_out(folder: Path, change: FolderUpdate, version: str) -> Path | None:
    """Do it; the backup of what it replaced and removed, None where that is nothing."""
    sources = listing.sources(place.HOME)
    backup = _back_up(folder, (*change.changed, *change.removed))
    for name in (*change.added, *change.changed):
        manifest.put(folder / name, sources[name].read_bytes())
    for name in change.removed:
        (folder / name).unlink()
        _remove_empty((folder / name).parent, folder)
    files = {name: manifest.digest(path) for name, path in sources.items()}
    manifest.write(folder, LaidOut(version, files))
    return backup


def _compared(folder: Path, laid: LaidOut, sources: Mapping[str, Path]) -> FolderUpdate:
    groups: dict[str, list[str]] = {"added": [], "changed": [], "removed": [], "kept": []}
    for name in (*sources, *(name for name in laid.files if name not in sources)):
        here, old = manifest.digest(folder / name), laid.files.get(name, "")
        new = manifest.digest(sources[name]) if name in sources else ""
        if here != new and not _without_profile(folder, laid, name):
            group = _persons(here, old, new) if manifest.is_a_persons(name) else _ours(here, new)
            if group:
                groups[group].append(name)
    lost = [
        name
        for name in (*groups["changed"], *groups["removed"])
        if manifest.digest(folder / name) != laid.files.get(name) and not _generated(name)
    ]
    return FolderUpdate(before=laid.version, lost=tuple(lost), **{name: tuple(found) for name, found in groups.items()})


def _ours(here: str, new: str) -> str:
    """What becomes of a file, by its digests here and in the new version; empty: none."""
    if not new:
        return "removed"
    return "changed" if here else "added"


def _persons(here: str, old: str, new: str) -> str:
    """The same for what a person edits; `old`: its digest when it was laid out. It is never removed: it may run."""
    if not here:
        return "" if old else "added"  # what a person has removed stays away
    return "changed" if new and here == old else "kept"


def _without_profile(folder: Path, laid: LaidOut, name: str) -> bool:
    """Whether it was rendered from a profile that a person has removed."""
    if not name.startswith("rendered/"):
        return False
    profile = f"profiles/{name.split('/')[1]}.yaml"
    return profile in laid.files and not (folder / profile).exists()


def _generated(name: str) -> bool:
    """Written anew by `fullbatch render`, so that nothing of a person's is in it."""
    return name.startswith("rendered/") or name in ("profiles/schema.json", "docs/profiles.md")


def _back_up(folder: Path, names: tuple[str, ...]) -> Path | None:
    if not names:
        return None
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H-%M-%S")
    path = folder / BACKUPS / f"{stamp}.tar.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with tarfile.open(part, "w:gz") as archive:
        for name in names:
            archive.add(folder / name, name)
    part.chmod(0o600)
    return part.replace(path)


def _remove_empty(path: Path, top: Path) -> None:
    while path != top and not any(path.iterdir()):
        path.rmdir()
        path = path.parent


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())
