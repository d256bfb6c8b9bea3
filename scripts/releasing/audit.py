"""Asks pip-audit whether a locked package has a known hole. What it could not ask is never a pass."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

LOCKS = ("run", "gateway", "loadtest")
_PROGRAM = Path(".fullbatch/audit/bin/pip-audit")
_TIMEOUT_S = 300.0


@dataclass(frozen=True)
class Audited:
    """`holes`: package, version and the hole's name; `unasked`: why nothing can be said, for a lock or a package."""

    holes: tuple[str, ...]
    unasked: tuple[str, ...]


def audit(root: Path) -> Audited:
    """All locks of what we ship."""
    fault = _install(root)
    if fault:
        return Audited((), (fault,))
    holes: list[str] = []
    unasked: list[str] = []
    for lock in LOCKS:
        found = judge(lock, *_ask(root, lock))
        holes += found.holes
        unasked += found.unasked
    return Audited(tuple(dict.fromkeys(holes)), tuple(unasked))


def judge(lock: str, said: str, complaint: str) -> Audited:
    """What pip-audit's JSON means; `complaint`: the end of what it printed beside.

    It ends with 0 also where its service knew none of the packages, as behind a mirror: each is then skipped.
    """
    try:
        dependencies = json.loads(said)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return Audited((), (f"requirements/{lock}.txt: pip-audit could not ask ({complaint or 'it said nothing'})",))
    skipped = [one for one in dependencies if "skip_reason" in one]
    holes = [f"{one['name']} {one['version']}: {hole['id']}" for one in dependencies for hole in one.get("vulns", ())]
    unasked = []
    if skipped or not dependencies:
        first = f", as {skipped[0]['name']}: {skipped[0]['skip_reason']}" if skipped else ""
        unasked = [f"requirements/{lock}.txt: {len(skipped)} of {len(dependencies)} packages were not judged{first}"]
    return Audited(tuple(holes), tuple(unasked))


def _install(root: Path) -> str:
    """Why pip-audit cannot be had; empty when it is there."""
    lock, venv = root / "requirements" / "audit.txt", root / _PROGRAM.parents[1]
    stamp = venv / ".lock"
    if stamp.is_file() and stamp.read_bytes() == lock.read_bytes():
        return ""
    pip = [
        str(venv / "bin" / "pip"),
        "install",
        "--quiet",
        "--no-compile",
        "--no-deps",
        "--require-hashes",
        "-r",
        str(lock),
    ]
    for command in ([sys.executable, "-m", "venv", "--clear", str(venv)], pip):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return f"pip-audit could not be installed ({(done.stderr.strip().splitlines() or ['no word'])[-1][:200]})"
    stamp.write_bytes(lock.read_bytes())
    return ""


def _ask(root: Path, lock: str) -> tuple[str, str]:
    words = ["--requirement", f"requirements/{lock}.txt", "--disable-pip", "--require-hashes", "--format", "json"]
    command = [str(root / _PROGRAM), *words, "--progress-spinner", "off"]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return "", f"no answer within {_TIMEOUT_S:g} s"
    return done.stdout, (done.stderr.strip().splitlines() or [""])[-1][:200]
