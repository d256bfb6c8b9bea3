"""`fullbatch weights`: lists the weights on this machine, and removes those that no profile needs."""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fullbatch.core.errors import UsageError
from fullbatch.lifecycle import weights as stored
from fullbatch.lifecycle.weights import Inventory, StoredRevision

_GIB = 2**30


def options(weights: argparse.ArgumentParser) -> None:
    """Its actions."""
    actions = weights.add_subparsers(dest="action", required=True, metavar="list|prune")
    listed = actions.add_parser("list", help="list model, revision, size, last use, and the profiles that need it")
    prune = actions.add_parser(
        "prune",
        help="remove what no profile needs; asks first, and keeps what runs",
        description="Remove revisions that no profile needs. It asks first, and keeps what runs. In a cache that other "
        "programs use too, a model that is not in the catalog is removed only if you name it.",
    )
    prune.add_argument("models", nargs="*", metavar="MODEL[@REVISION]", help="only these (default: all unneeded)")
    prune.add_argument("--dry-run", action="store_true", help="show what would be removed, and remove nothing")
    prune.add_argument("--yes", action="store_true", help="do not ask")
    for one in (listed, prune):
        one.add_argument("--json", action="store_true", help="print JSON, for other programs")


def run(root: Path, args: argparse.Namespace) -> int:
    """One of them; its exit code."""
    found = stored.inventory(root)
    if args.action == "list":
        _say(json.dumps(as_json(found.kept), indent=2) if args.json else as_text(found).rstrip())
        return 0
    chosen = stored.prunable(found, args.models)
    if not args.json:
        sys.stdout.write("".join(f"{one.store.where}:{line(one)}\n" for one in chosen) or "nothing to remove\n")
    freed = 0
    if chosen and not args.dry_run and _agreed(args, question(chosen)):
        freed = stored.remove(chosen)
        (sys.stderr if args.json else sys.stdout).write(f"freed {freed / 2**30:.2f} GiB\n")
    if args.json:
        _say(json.dumps({"revisions": as_json(chosen), "bytes_freed": freed}, indent=2))
    return 0


def _agreed(args: argparse.Namespace, question: str) -> bool:
    if args.yes:
        return True
    if args.json or not sys.stdin.isatty():
        raise UsageError("weights prune: nobody can confirm, as the input is not a terminal; add --yes, or --dry-run")
    return input(question).strip().lower() in ("y", "yes")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


def as_json(kept: Sequence[StoredRevision]) -> list[dict[str, Any]]:
    """For other programs: bytes, and times in ISO 8601, UTC."""
    return [
        {
            "model": one.revision.name,
            "revision": one.revision.revision,
            "branches": list(one.revision.branches),
            "bytes": one.revision.size,
            "bytes_freed_without_it": one.revision.own,
            "last_used": _day(one).isoformat(timespec="seconds"),
            "wanted_by": list(one.wanted_by),
            "in_use_by": one.in_use,
            "where": one.store.where,
        }
        for one in kept
    ]


def as_text(found: Inventory) -> str:
    """A line for each revision, by where it lies."""
    lines = [] if found.kept else ["no weights here"]
    for where in dict.fromkeys(one.store.where for one in found.kept):
        lines.append(where)
        lines += [line(one) for one in found.kept if one.store.where == where]
    total = sum(one.revision.own for one in found.kept)
    if found.kept:
        lines.append(f"{len(found.kept)} revision(s), {total / _GIB:.2f} GiB that their removal would free")
    return "\n".join([*lines, *(f"not read: {text}" for text in (*found.unread, *found.unknown))]) + "\n"


def line(one: StoredRevision) -> str:
    """One revision: size, when it was last used, and who wants it."""
    wanted = f"wanted by {', '.join(one.wanted_by)}" if one.wanted_by else "no profile wants it"
    said = f"in use by {one.in_use}" if one.in_use else wanted
    revision = one.revision.revision[:12] or "unfinished"
    return (
        f"  {one.revision.name:44} {revision:12} {one.revision.size / _GIB:8.2f} GiB   "
        f"used {_day(one):%Y-%m-%d}   {said}"
    )


def question(chosen: Sequence[StoredRevision]) -> str:
    """What is asked before they go."""
    freed = sum(one.revision.own for one in chosen) / _GIB
    return f"remove {len(chosen)} revision(s), {freed:.2f} GiB? [y/N] "


def _day(one: StoredRevision) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(one.revision.used, datetime.UTC)
