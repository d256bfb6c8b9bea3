"""What upgrade, rollback and recovery do alike: go back to what a backup says that ran."""

from __future__ import annotations

from pathlib import Path

from fullbatch.core.errors import FullbatchError, HostError
from fullbatch.planning import advice, profile
from fullbatch.planning.plan import Plan
from fullbatch.runtime import registry
from fullbatch.runtime.base import Say
from fullbatch.runtime.upgradable import RunningImage, Upgradable
from fullbatch.upkeep import archive, backup, journal, judge
from fullbatch.upkeep.archive import Backup

BEFORE = "before an upgrade"


class Undone(FullbatchError):
    """An upgrade went bad; all is as it was."""

    exit_code = 1


def plan_of(root: Path, name: str) -> Plan:
    """Of the profile as it stands in the checkout now."""
    return advice.plan(name, profile.load(root, name))


def images_of(made: Backup) -> dict[str, RunningImage]:
    """What ran when it was made."""
    return {name: RunningImage(**one) for name, one in made.manifest.images.items()}


def stack_of(root: Path, made: Backup) -> Upgradable:
    """What it is a backup of."""
    return registry.of(made.manifest.runtime).upgradable(root, made.manifest.profile)


def go_back(root: Path, made: Backup, entry: journal.JournalEntry, say: Say, timeout: float) -> None:
    """The settings, images and, if its tables changed, the key store of `made`; waits for a token.

    As often as one likes: it ends the same. HostError or EngineError when the old version does not start either.
    """
    journal.write(root, journal.JournalEntry(entry.what, "undo", str(made.path), entry.target))
    stack, images = stack_of(root, made), images_of(made)
    backup.put_back(root, made, state=False)
    stack.point_back(images)
    kept = next((one for name, one in made.state().items() if archive.store_version(one) is not None), None)
    now = stack.store(images)
    if kept is not None and now is not None and archive.store_version(now) != archive.store_version(kept):
        stack.put_store(images, kept, say)
    stack.start(made.manifest.services, say)
    plan = plan_of(root, made.manifest.profile)
    judge.token(stack.deployment(plan), plan, say, timeout)
    journal.clear(root)


def need_images(made: Backup, there: dict[str, RunningImage]) -> None:
    """HostError for a backup that names no images, such as one of plain processes."""
    if not made.manifest.images or not there:
        raise HostError(f"{made.path}: names no images to go back to; `fullbatch restore` puts its keys and files back")
