"""``python kv_prune.py FOLDER --quota-gib N``: keeps the KV cache on disk below its quota, the oldest going first.

vLLM 0.32 writes blocks (`…/HASH.bin`) and never removes one. This runs beside the engine and needs the standard library
alone, so that the engine's own image can run it. What it takes away the engine counts as not there and computes again.

It removes blocks and what a killed engine left half written, nothing else: no other name, no file of the last minute,
nothing behind a link, and no folder. By the time of writing, since reading leaves no trace on many file systems.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import signal
import stat
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

GIB = 2**30
# Names as vLLM gives them (v1/kv_offload/file_mapper.py, tiering/fs/io.py): a block, and one that is being written.
_BLOCK = re.compile(r"[0-9a-f]{16,128}\.bin")
_HALF = re.compile(r"[0-9a-f]{16,128}\.bin_\d+\.tmp")
# Seconds. A file of the last minute may be on its way; one half written for an hour belongs to nobody.
YOUNG_S, ABANDONED_S = 60.0, 3600.0
EVERY_S = 30.0
# Pruned to this part of the quota, so that not every round has to.
_DOWN_TO = 0.95
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, order=True)
class BlockFile:
    """A file that may go. `written`: seconds since the epoch; `path`: below the folder."""

    written: float
    size: int
    path: str
    is_half: bool = False


@dataclass(frozen=True)
class Pruned:
    """One round: bytes of blocks found, files and bytes that went."""

    found: int
    files: int = 0
    freed: int = 0


def prepare(folder: Path) -> None:
    """Make `folder`, for its owner alone where it is made here; OSError when it is a link, or no folder."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(folder, _DIRECTORY))


def prune(folder: Path, quota: int, now: float) -> Pruned:
    """Remove the oldest blocks until those that are left take no more than `quota` bytes."""
    top = os.open(folder, _DIRECTORY)
    try:
        files = sorted(_files(top))
        found = sum(one.size for one in files)
        wanted = found - int(quota * _DOWN_TO) if found > quota else 0
        gone = freed = 0
        for one in files:
            old = ABANDONED_S if one.is_half else YOUNG_S
            if now - one.written < old or not (one.is_half or freed < wanted):
                continue
            if _remove(top, one.path):
                gone, freed = gone + 1, freed + one.size
        return Pruned(found, gone, freed)
    finally:
        os.close(top)


def _files(top: int) -> Iterator[BlockFile]:
    """Blocks below a folder, without following a link."""
    for where, _, names, folder in os.fwalk(".", dir_fd=top, follow_symlinks=False):
        for name in names:
            is_half = bool(_HALF.fullmatch(name))
            if not (is_half or _BLOCK.fullmatch(name)):
                continue
            with contextlib.suppress(OSError):  # it has just got its name, or gone
                about = os.stat(name, dir_fd=folder, follow_symlinks=False)
                if stat.S_ISREG(about.st_mode):
                    yield BlockFile(about.st_mtime, about.st_size, f"{where}/{name}", is_half)


def _remove(top: int, path: str) -> bool:
    """Remove a file, every folder on the way looked at anew: one that has become a link is not entered."""
    *folders, name = [part for part in path.split("/") if part != "."]
    opened = [os.dup(top)]
    try:
        for part in folders:
            opened.append(os.open(part, _DIRECTORY, dir_fd=opened[-1]))
        os.unlink(name, dir_fd=opened[-1])
    except OSError:
        return False
    finally:
        for one in opened:
            os.close(one)
    return True


def main(argv: list[str] | None = None) -> int:
    """Prune every half minute until told to stop."""
    parser = argparse.ArgumentParser(prog="kv_prune.py", description="Keep the KV cache on disk below its quota.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--quota-gib", type=float, required=True, metavar="GIB", help="what blocks may take")
    parser.add_argument("--every", type=float, default=EVERY_S, metavar="SECONDS", help="(default: 30)")
    options = parser.parse_args(argv)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    try:
        prepare(options.folder)
        while True:
            _round(options.folder, int(options.quota_gib * GIB))
            if ended.wait(options.every):
                return 0
    except OSError as error:
        sys.stderr.write(f"kv_prune: {options.folder}: {error.strerror}; give a folder that is no link\n")
        return 1


def _round(folder: Path, quota: int) -> None:
    done = prune(folder, quota, time.time())
    if done.files:
        kept = (done.found - done.freed) / GIB
        sys.stderr.write(f"kv_prune: {done.files} files gone, {done.freed / GIB:.2f} GiB; {kept:.2f} GiB left\n")


if __name__ == "__main__":
    sys.exit(main())
