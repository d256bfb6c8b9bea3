"""Where the program lies, and which folder it runs from.

A checkout runs from itself, and so does a folder laid out by `fullbatch init`, by its own code. The installed program
only looks for such a folder, where one is or above.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from fullbatch.layout.listing import DATA

HOME = Path(__file__).resolve().parents[2]  # what holds the package `fullbatch`
MANIFEST = Path(".fullbatch") / "laid-out.json"


class Untrusted(Exception):
    """Somebody else's folder, whose code would be run."""


def root() -> Path:
    """What this code runs from: a checkout or folder; of an installed wheel the files that it carries, to be read."""
    return HOME if is_whole() else HOME / "fullbatch" / DATA


def is_whole() -> bool:
    """Whether this code lies in a folder to run from."""
    return (HOME / "compose.yaml").is_file()


def folder(start: Path) -> Path | None:
    """The folder laid out by `fullbatch init` that `start` lies in.

    Raises:
        Untrusted: it, or the code in it, is another user's.
    """
    for path in (start, *start.parents):
        if (path / MANIFEST).is_file():
            _refuse_others(path, path / MANIFEST, path / "fullbatch" / "cli")
            return path
    return None


def version(folder: Path) -> str:
    """By which version it was laid out, or last brought up to date; empty when it was not."""
    try:
        return str(json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["version"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _refuse_others(path: Path, *inside: Path) -> None:
    for one in (path, *inside):
        owner = one.stat().st_uid
        if owner not in (0, os.geteuid()):
            raise Untrusted(
                f"{path}: is user {owner}'s, and the code in it would run as you; become that user, or chown it"
            )
