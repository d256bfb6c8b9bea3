"""`fullbatch init DIR`: lays out a folder to run from."""

from __future__ import annotations

import shutil
from pathlib import Path

from fullbatch.layout import listing, manifest, place
from fullbatch.layout.manifest import LaidOut


class CannotLay(Exception):
    """Why not, and what would be right."""


def lay(folder: Path, version: str) -> int:
    """Lay it out; how many files. It is there whole, or not at all.

    Raises:
        CannotLay: there is something already.
        OSError
    """
    if folder.exists() and not folder.is_dir():
        raise CannotLay(f"{folder}: is a file; give a folder that is empty, or a new one")
    if folder.is_dir() and any(folder.iterdir()):
        if place.version(folder):
            raise CannotLay(
                f"{folder}: was laid out by fullbatch {place.version(folder)}; bring it up to date with: "
                f"fullbatch init --update {folder}"
            )
        raise CannotLay(f"{folder}: is not empty; give a folder that is, or a new one")
    part = folder.absolute().with_name(f".{folder.absolute().name}.part")
    if part.exists():
        shutil.rmtree(part)  # of one that was killed
    try:
        laid = copy(part, version)
        _move(part, folder.absolute())
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return laid


def copy(folder: Path, version: str) -> int:
    """All files into `folder`, the manifest last; how many."""
    files = {}
    for name, path in listing.sources(place.HOME).items():
        manifest.put(folder / name, path.read_bytes())
        files[name] = manifest.digest(folder / name)
    manifest.write(folder, LaidOut(version, files))
    return len(files)


def _move(part: Path, folder: Path) -> None:
    if not folder.exists():
        part.rename(folder)
        return
    for path in sorted(part.iterdir(), key=lambda path: path.name == place.MANIFEST.parts[0]):  # the manifest last
        path.rename(folder / path.name)
