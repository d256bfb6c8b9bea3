"""Finishes or undoes what a kill or a power cut has left half-done. Every command that changes something begins so."""

from __future__ import annotations

from pathlib import Path

from fullbatch.core.errors import FullbatchError, StateError
from fullbatch.runtime import registry
from fullbatch.runtime.base import Say
from fullbatch.upkeep import archive, backup, journal, kept, switch, upgrade

TIMEOUT = 1800.0


def recover(root: Path, say: Say) -> str | None:
    """Nothing is under way when this returns: the profile that was started again, None when none was.

    StateError when somebody has to look.
    """
    left = journal.read(root)
    if left is None:
        return None
    path = Path(left.backup)
    if left.what == "restore":
        say("a `fullbatch restore` was cut off; finishing it")
        _restored(root, path)
        return None
    if left.phase == "done":
        upgrade.finish(root)
        return None
    if left.phase == "prepare":
        say("a `fullbatch upgrade` was cut off before anything had changed; clearing up")
        _unprepared(root, path)
        return None
    say(f"a `fullbatch {left.what}` was cut off; going back to what ran before")
    made = archive.read(path)
    switch.go_back(root, made, left, say, TIMEOUT)
    return made.manifest.profile


def _restored(root: Path, path: Path) -> None:
    try:
        backup.put_back(root, archive.read(path))
    except FullbatchError as error:
        raise StateError(str(error), "then restore any backup: fullbatch restore FILE") from None
    journal.clear(root)


def _unprepared(root: Path, path: Path) -> None:
    """Names mean what they meant; the backup goes, since nothing came of it."""
    if path.exists():
        made = archive.read(path)
        switch.stack_of(root, made).point_back(switch.images_of(made))
        for runtime in registry.RUNTIMES:
            runtime.forget_images(root, kept.stamp(path))
        path.unlink()
    path.with_name(f"{path.name}.part").unlink(missing_ok=True)
    journal.clear(root)
