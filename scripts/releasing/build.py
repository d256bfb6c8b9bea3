"""Wheel and source distribution of a commit: built twice, from nothing but what git has, to the same bytes."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

_SDIST = "import sys; from setuptools import build_meta; print(build_meta.build_sdist(sys.argv[1]))"


class CannotBuild(Exception):
    """Why, in one line."""


def commit_time(root: Path) -> int:
    """Of HEAD, in seconds of 1970: the time of everything in the files."""
    return int(_git(root, "log", "-1", "--format=%ct").decode())


def build(root: Path, commit: str, scratch: Path, out: Path) -> list[Path]:
    """Both files, in `out`.

    Raises:
        CannotBuild: a build fails, or two of them differ.
    """
    first, second = (_once(root, commit, scratch / name) for name in ("first", "second"))
    for one, other in zip(first, second, strict=True):
        if one.name != other.name or one.read_bytes() != other.read_bytes():
            raise CannotBuild(f"{one.name}: two builds of commit {commit[:12]} differ; compare {one} and {other}")
    out.mkdir(parents=True, exist_ok=True)
    return [path.replace(out / path.name) for path in first]


def install(root: Path, wheel: Path, scratch: Path) -> None:
    """Into a fresh environment, with what the lock pins; lay out a folder, and ask it what a person asks first.

    Raises:
        CannotBuild: one of these fails.
    """
    venv, folder = scratch / "venv", scratch / "house"
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    pip = [str(venv / "bin" / "pip"), "install", "--quiet", "--no-compile", "--no-deps", "--disable-pip-version-check"]
    program = str(venv / "bin" / "fullbatch")
    steps: list[tuple[list[str], Path]] = [
        ([sys.executable, "-m", "venv", str(venv)], scratch),
        ([*pip, "--require-hashes", "-r", str(root / "requirements" / "run.txt")], scratch),
        ([*pip, str(wheel)], scratch),
        ([program, "init", str(folder)], scratch),
        ([program, "render", "--check"], folder),
        ([program, "plan", "cpu-smollm2"], folder),
        ([program, "loadtest", "--help"], folder),
        ([str(venv / "bin" / "python"), "-m", "gateway", "--help"], folder),
    ]
    for command, where in steps:
        _run(command, where, environment)


def _once(root: Path, commit: str, folder: Path) -> tuple[Path, Path]:
    source, made = folder / "source", folder / "made"
    source.mkdir(parents=True)
    with tarfile.open(fileobj=io.BytesIO(_git(root, "archive", "--format=tar", commit))) as archive:
        archive.extractall(source, filter="data")
    seconds = _git(root, "log", "-1", "--format=%ct", commit).decode().strip()
    environment = dict(os.environ) | {"SOURCE_DATE_EPOCH": seconds, "PYTHONHASHSEED": "0"}
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(made)]
    made.mkdir()
    _run([sys.executable, "-c", _SDIST, str(made)], source, environment)
    _run([*pip, str(source)], folder, environment)
    sdist = next(made.glob("*.tar.gz"))
    _even(sdist, int(seconds))
    return next(made.glob("*.whl")), sdist


def _even(path: Path, seconds: int) -> None:
    """The same archive without what tells builder and moment: owners, times, order."""
    buffer = io.BytesIO()
    with tarfile.open(path) as old, tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as new:
        for member in sorted(old.getmembers(), key=lambda member: member.name):
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            member.mtime = seconds
            member.mode = 0o755 if member.mode & 0o100 else 0o644
            member.pax_headers = {}
            new.addfile(member, old.extractfile(member) if member.isfile() else None)
    path.write_bytes(gzip.compress(buffer.getvalue(), mtime=seconds))


def _run(command: list[str], where: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(command, cwd=where, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()[-1]
        words = " ".join(Path(word).name if "/" in word else word for word in command[:8])
        raise CannotBuild(f"`{words}` failed: {said[:300]}")


def _git(root: Path, *words: str) -> bytes:
    return subprocess.run(["git", *words], cwd=root, capture_output=True, check=True).stdout
