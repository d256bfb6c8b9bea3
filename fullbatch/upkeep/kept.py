"""The backups that this checkout keeps by itself: the last three, newest first."""

from __future__ import annotations

import datetime
from pathlib import Path

KEEP = 3
_NAME = "fullbatch-*.tar.gz"


def folder(root: Path) -> Path:
    """Where they are; made here, for its owner only."""
    path = root / ".fullbatch" / "backups"
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o700)
    return path


def new(root: Path) -> Path:
    """A name for one of now, which none has yet."""
    now = datetime.datetime.now(datetime.UTC)
    return folder(root) / f"fullbatch-{now:%Y%m%dT%H%M%S}-{now.microsecond // 1000:03}.tar.gz"


def stamp(path: Path) -> str:
    """What tells one from the others, as an image's tag may have it."""
    return path.name.removeprefix("fullbatch-").removesuffix(".tar.gz").lower()


def listed(root: Path) -> list[Path]:
    """All of them, newest first."""
    return sorted(folder(root).glob(_NAME), reverse=True)


def surplus(root: Path) -> list[Path]:
    """Those beyond the last three."""
    return listed(root)[KEEP:]
