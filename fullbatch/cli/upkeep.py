"""`fullbatch backup` and `restore`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fullbatch.runtime.base import Say
from fullbatch.upkeep import backup, lock, recovery

OK = 0
_SECRET = "it holds API keys and passwords: only you can read it; keep it so where you copy it"


def options(commands: argparse._SubParsersAction[Any]) -> None:
    """Their words."""
    made = commands.add_parser(
        "backup",
        help="save keys, usage, secrets, profiles and settings in one file",
        description="Save keys, usage, secrets, profiles, rendered files and .env in one file, while all goes on. "
        "Weights, metrics and images are not in it. It holds secrets: only its owner can read it.",
    )
    made.add_argument("file", nargs="?", type=Path, metavar="FILE", help="default: one of three in .fullbatch/backups")
    back = commands.add_parser(
        "restore",
        help="put a backup back; nothing may run",
        description="Put a backup back: keys, usage, secrets, profiles, rendered files and .env. Nothing may run. "
        "What is here now is kept as a backup of its own first.",
    )
    back.add_argument("file", type=Path, metavar="FILE", help="what `fullbatch backup` has written")


def run(root: Path, args: argparse.Namespace, say: Say) -> int:
    """One of them; its exit code."""
    with lock.held(root, args.command):
        return COMMANDS[args.command](root, args, say)


def _backup(root: Path, args: argparse.Namespace, say: Say) -> int:
    recovery.recover(root, say)
    made = backup.command(root, args.file)
    size = made.path.stat().st_size / 2**20
    stores = ", ".join(f"{name} (version {version})" for name, version in made.stores().items()) or "none"
    lines = [f"{made.path}: {size:.1f} MiB, {len(made.contents)} files; key stores: {stores}", _SECRET]
    if why := backup.without_docker():
        lines.append(why)
    sys.stdout.write("\n".join(lines) + "\n")
    return OK


def _restore(root: Path, args: argparse.Namespace, say: Say) -> int:
    found = backup.restore(root, args.file, say)
    manifest = found.manifest
    said = [f"restored: {len(found.contents)} files of {manifest.created}"]
    if manifest.commit:
        said.append(f"the checkout was at commit {manifest.commit[:12]} then; `git checkout` it if files do not fit")
    up = f"fullbatch up {manifest.profile}".rstrip()
    sys.stdout.write("\n".join([*said, f"start it: {up}"]) + "\n")
    return OK


COMMANDS: dict[str, Callable[[Path, argparse.Namespace, Say], int]] = {"backup": _backup, "restore": _restore}
