"""Goes back to what ran before the last upgrade."""

from __future__ import annotations

from pathlib import Path

from fullbatch.core.errors import StateError
from fullbatch.runtime.base import Say
from fullbatch.upkeep import archive, backup, journal, kept, switch
from fullbatch.upkeep.archive import Backup


def rollback(root: Path, say: Say, timeout: float) -> Backup:
    """The backup that was gone back to. StateError when there is none, or all is as it says already."""
    made = _last(root)
    stack = switch.stack_of(root, made)
    wanted, now = switch.images_of(made), stack.images()
    switch.need_images(made, wanted)
    if all(now.get(name) and now[name].id == one.id for name, one in wanted.items()):
        raise StateError(f"what runs are the images of before the upgrade of {made.manifest.created} already")
    for name, one in wanted.items():
        say(
            f"{one.service}: {now[name].reference if name in now else 'not running'} -> {one.reference} ({one.id[:19]})"
        )
    switch.go_back(root, made, journal.JournalEntry("rollback", "undo", str(made.path)), say, timeout)
    backup.drop_surplus(root)
    return made


def _last(root: Path) -> Backup:
    for path in kept.listed(root):
        made = archive.read(path)
        if made.manifest.why == switch.BEFORE:
            return made
    raise StateError("no upgrade to go back from is kept here; `fullbatch restore FILE` puts any backup back")
