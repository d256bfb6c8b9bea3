"""`fullbatch init`: a folder to run from, without git."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from common.version import VERSION
from fullbatch.core.errors import UsageError
from fullbatch.layout import laying, place, update
from fullbatch.planning import profile
from fullbatch.rendering import files

# What needs no folder to run from: it starts and writes nothing there.
ANYWHERE = frozenset({"init", "profiles", "plan", "explain", "doctor", "loadtest", "report", "simulate"})


def options(command: argparse.ArgumentParser) -> None:
    """What it takes."""
    command.description = (
        "Lay out a folder to run from: compose.yaml, profiles, rendered files, gateway, load test, dashboards and "
        "rules. In it `docker compose up` and `fullbatch up` work as in a clone."
    )
    command.add_argument("folder", nargs="?", type=Path, metavar="DIR", help="an empty folder, or a new one")
    command.add_argument(
        "--update", action="store_true",
        help="bring a folder laid out by an older version up to date (default: this one). Profiles, .env and what "
        "else a person edits stay; what is replaced is backed up",
    )  # fmt: skip
    command.add_argument(
        "--dry-run", action="store_true", help="with --update: say what would change, and change nothing"
    )


def refuse_without_folder(args: argparse.Namespace) -> None:
    """UsageError for what needs a folder to run from, where the program is installed and none was found."""
    if place.is_whole() or (args.command in ANYWHERE and not getattr(args, "write", None)):
        return
    what = f"{args.command} --write" if args.command in ANYWHERE else args.command
    raise UsageError(
        f"{what}: there is no folder of Fullbatch's here or above; make one with `fullbatch init DIR` and go there"
    )


def run(args: argparse.Namespace) -> int:
    """Lay out, or bring up to date; an exit code."""
    if args.dry_run and not args.update:
        raise UsageError("init: --dry-run is for --update")
    if not args.folder and not args.update:
        raise UsageError("init: give the folder: fullbatch init DIR")
    try:
        return _update(args.folder or Path.cwd(), args.dry_run) if args.update else _lay(args.folder)
    except laying.CannotLay as refusal:
        raise UsageError(f"init: {refusal}") from None


def _lay(folder: Path) -> int:
    count = laying.lay(folder, VERSION)
    _say(f"{folder}: laid out by fullbatch {VERSION}, {count} files. Next:")
    _say(f"  cd {folder}")
    _say("  fullbatch doctor          what of this machine will not work")
    _say("  docker compose up         or: scripts/install-engine && fullbatch up --runtime process")
    return 0


def _update(folder: Path, dry_run: bool) -> int:
    change = update.planned(folder, VERSION)
    for what, names in (("new", change.added), ("changed", change.changed), ("removed", change.removed)):
        if names:
            _say(f"{what}: {_counted(names)}")
    for name in change.kept:
        _say(f"kept as you have it: {name}")
    for name in change.lost:
        _say(f"yours is replaced, and kept in the backup: {name}")
    if dry_run:
        _say(f"{folder}: nothing was changed; it is of fullbatch {change.before}, and this is {VERSION}")
        return 0
    backup = update.carry_out(folder, change, VERSION)
    rendered = files.write(folder, profile.names(folder))
    if rendered:
        _say(f"rendered anew: {len(rendered)} file(s)")
    if backup:
        _say(f"what it replaced is in {backup}")
    _say(f"{folder}: fullbatch {change.before} -> {VERSION}; read docs/upgrading.md, then: fullbatch up")
    return 0


def _counted(names: tuple[str, ...], shown: int = 5) -> str:
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
