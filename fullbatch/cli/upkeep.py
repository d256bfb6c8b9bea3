"""`fullbatch backup`, `restore`, `upgrade` and `rollback`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fullbatch.cli.values import positive
from fullbatch.runtime.base import Say
from fullbatch.runtime.upgradable import ImageWish
from fullbatch.upkeep import backup, journal, lock, recovery, rollback, upgrade
from fullbatch.upkeep.upgrade import UpgradeRequest

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
    better = commands.add_parser(
        "upgrade",
        help="put what runs under other images, judge it, go back by itself if it is bad",
        description="Put what runs in Docker under other images. They are fetched, and the new gateway is tried on a "
        "copy of the keys, before anything stops. A token, the KV cache and a short load test then judge; if one is "
        "bad, all goes back by itself (exit code 1). Without options: the images that compose.yaml and .env name now, "
        "and our own built from this checkout.",
    )
    better.add_argument("--to", metavar="TAG", default="", help="our own images at this tag, such as 0.2.0")
    better.add_argument(
        "--image", type=_image, action="append", default=[], metavar="SERVICE=IMAGE",
        help="this image for gateway, engine, prometheus, …; may be repeated",
    )  # fmt: skip
    better.add_argument("--dry-run", action="store_true", help="show what would change, and change nothing")
    older = commands.add_parser(
        "rollback",
        help="go back to what ran before the last upgrade",
        description="Go back to the images and settings of before the last upgrade; if it changed the key store's "
        "tables, also to the key store of then: what was used and changed since is lost then.",
    )
    for one in (better, older):
        one.add_argument(
            "--timeout",
            type=positive,
            default=1800,
            metavar="SECONDS",
            help="limit until the first token (default: 1800)",
        )


def _image(text: str) -> tuple[str, str]:
    service, _, image = text.partition("=")
    if not service or not image:
        raise argparse.ArgumentTypeError(f"'{text}': write SERVICE=IMAGE, such as engine=vllm/vllm-openai:v0.33.0")
    return service, image


def run(root: Path, args: argparse.Namespace, say: Say) -> int:
    """One of them; its exit code."""
    with lock.held(root, args.command):
        if not getattr(args, "dry_run", False) and args.command != "restore":
            recovery.recover(root, say)
        return COMMANDS[args.command](root, args, say)


def before_a_start(root: Path, say: Say) -> str | None:
    """What `up` does first: see `recovery.recover`. StateError while another command is at it."""
    if journal.read(root) is None:
        return None
    with lock.held(root, "up"):
        return recovery.recover(root, say)


def before_a_stop(root: Path) -> None:
    """StateError while another command is at it; what one has left half-done is `up`'s to undo."""
    if journal.read(root) is not None:
        with lock.held(root, "down"):
            pass


def _backup(root: Path, args: argparse.Namespace, say: Say) -> int:  # noqa: ARG001
    made = backup.command(root, args.file)
    size = made.path.stat().st_size / 2**20
    stores = ", ".join(f"{name} (version {version})" for name, version in made.stores().items()) or "none"
    lines = [f"{made.path}: {size:.1f} MiB, {len(made.contents)} files; key stores: {stores}", _SECRET]
    if why := backup.without_server(made):
        lines.append(why)
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


def _upgrade(root: Path, args: argparse.Namespace, say: Say) -> int:
    wish = ImageWish(args.to, dict(args.image))
    if upgrade.upgrade(root, UpgradeRequest(wish, args.dry_run, args.timeout), say):
        sys.stdout.write("upgraded; back to what ran before: fullbatch rollback\n")
    return OK


def _rollback(root: Path, args: argparse.Namespace, say: Say) -> int:
    made = rollback.rollback(root, say, args.timeout)
    commit = f"; the checkout was at commit {made.manifest.commit[:12]} then" if made.manifest.commit else ""
    sys.stdout.write(f"what ran before the upgrade of {made.manifest.created} runs again{commit}\n")
    return OK


COMMANDS: dict[str, Callable[[Path, argparse.Namespace, Say], int]] = {
    "backup": _backup,
    "restore": _restore,
    "upgrade": _upgrade,
    "rollback": _rollback,
}
