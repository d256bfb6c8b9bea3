"""Puts what runs under other images, judges it, and goes back by itself when it is not good.

Nothing that runs is touched before the new images are here and the new gateway has started on a copy of the keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fullbatch.core.errors import FullbatchError, StateError, not_running
from fullbatch.rendering import files
from fullbatch.runtime import registry
from fullbatch.runtime.base import RunningDeployment, Say
from fullbatch.runtime.upgradable import Images, ImageWish, Target, Upgradable
from fullbatch.upkeep import backup, journal, judge, kept, switch
from fullbatch.upkeep.archive import Backup
from fullbatch.upkeep.switch import Undone


@dataclass(frozen=True)
class UpgradeRequest:
    """`dry_run`: say what would change, and change nothing; `timeout`: seconds until the first token, each way."""

    wish: ImageWish
    dry_run: bool = False
    timeout: float = 1800.0


@dataclass(frozen=True)
class _Prepared:
    made: Backup
    target: Target
    rendered: Mapping[Path, str]


def upgrade(root: Path, request: UpgradeRequest, say: Say) -> bool:
    """Whether anything changed.

    Raises:
        Undone: the new version is not good; the old one runs again.
        UsageError, HostError: refused, or the new images cannot be had or used; nothing was touched.
        StateError: nothing runs.
    """
    running = registry.only(root, None, "fullbatch upgrade, with one profile running")
    if running is None:
        raise not_running(None)
    stack = registry.of(running.runtime).upgradable(root, running.profile)
    target, before = stack.target(request.wish), stack.images()
    rendered = _stale(root, running.profile)
    for line in _changes(before, target, rendered):
        say(line)
    if request.dry_run:
        return False
    was = judge.before(running)
    ready = _prepare(root, running, stack, target, say)
    if ready is None:
        say("what runs is that already; nothing to do")
        return False
    entry = journal.JournalEntry("upgrade", "change", str(ready.made.path), dict(target))
    journal.write(root, entry)
    try:
        for path, text in ready.rendered.items():
            backup.write(root / path, text.encode())
        stack.switch(target, say)
        plan = switch.plan_of(root, running.profile)
        awaited = stack.deployment(plan)
        look = judge.Judge(root, plan, request.timeout, lambda: _running(root, running.profile))
        look.judge(awaited, was, say)
    except (FullbatchError, OSError, KeyboardInterrupt) as error:
        raise _undone(root, ready.made, entry, error, say, request.timeout) from None
    journal.write(root, journal.JournalEntry("upgrade", "done", str(ready.made.path), dict(target)))
    finish(root)
    return True


def finish(root: Path) -> None:
    """Clear up after a good one."""
    backup.drop_surplus(root)
    journal.clear(root)


def _prepare(root: Path, running: RunningDeployment, stack: Upgradable, target: Target, say: Say) -> _Prepared | None:
    """None when there is nothing to change. Whatever goes wrong, every name means the image again that it meant."""
    path = kept.new(root)
    journal.write(root, journal.JournalEntry("upgrade", "prepare", str(path), dict(target)))
    before = stack.images()
    try:
        made = backup.take(root, path, backup.About(switch.BEFORE, running.profile, running.runtime, stack))
        say(f"backup: {path}")
        stack.keep(before, kept.stamp(path))
        fetched = stack.fetch(target, say)
        rendered = _stale(root, running.profile)
        changed = [name for name, identity in fetched.items() if name not in before or before[name].id != identity]
        if not changed and not rendered:
            _forget(root, stack, before, path)
            return None
        prefix = f"{running.runtime}/"
        state = {name.removeprefix(prefix): one for name, one in made.state().items() if name.startswith(prefix)}
        state |= {str(path): text.encode() for path, text in rendered.items()}
        stack.rehearse({name: target[name] for name in changed}, state, say)
    except (FullbatchError, OSError, KeyboardInterrupt):
        _forget(root, stack, before, path)
        raise
    return _Prepared(made, target, rendered)


def _forget(root: Path, stack: Upgradable, before: Images, path: Path) -> None:
    stack.point_back(before)
    for runtime in registry.RUNTIMES:
        runtime.forget_images(root, kept.stamp(path))
    path.unlink(missing_ok=True)
    journal.clear(root)


def _undone(
    root: Path, made: Backup, entry: journal.JournalEntry, error: BaseException, say: Say, timeout: float
) -> FullbatchError:
    """Goes back, and what to raise then."""
    lines = str(error).splitlines() or ["interrupted"]
    say(f"not good: {lines[0]}; going back")
    try:
        switch.go_back(root, made, entry, say, timeout)
    except (FullbatchError, OSError) as worse:
        again = "; `fullbatch up` tries it again"
        return StateError(f"upgrade: {lines[0]}", f"going back has failed too: {str(worse).splitlines()[0]}{again}")
    backup.drop_surplus(root)
    return Undone(f"upgrade: {lines[0]}; the version before runs again", *lines[1:])


def _stale(root: Path, profile: str) -> dict[Path, str]:
    wanted = files.wanted(root, [profile])
    stale = set(files.stale(root, [profile]))
    return {path: text for path, text in wanted.items() if path in stale}


def _changes(before: Images, target: Target, rendered: Mapping[Path, str]) -> list[str]:
    """A line for each image and file."""
    lines = []
    for variable, reference in target.items():
        was = before.get(variable)
        built = " (built anew, or as it is)" if was and was.reference == reference else ""
        lines.append(
            f"{was.service if was else variable}: {was.reference if was else 'not running'} -> {reference}{built}"
        )
    return lines + [f"{path}: rendered anew" for path in rendered]


def _running(root: Path, profile: str) -> RunningDeployment | None:
    return registry.only(root, profile, "")
