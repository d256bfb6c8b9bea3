"""Runs other programs; what goes wrong comes back as one line with the program's own last words."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

Say = Callable[[str], None]


class OfflineError(Exception):
    """One line for a person: where, what, what would be right."""


def output(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout_s: float = 600,
    log: Path | None = None,
) -> str:
    """The program's standard output, stripped; with `log`, both its streams go to that file instead.

    Raises OfflineError when it is missing, fails, or runs longer than `timeout_s` seconds.
    """
    try:
        done = _run(argv, env, cwd, timeout_s, log)
    except FileNotFoundError:
        raise OfflineError(f"{argv[0]}: this program is not installed") from None
    except subprocess.TimeoutExpired:
        raise OfflineError(f"{_title(argv)}: no end after {timeout_s:.0f} s") from None
    if done.returncode:
        words = log.read_text(errors="replace") if log else done.stderr or done.stdout
        where = f" (all of it: {log})" if log else ""
        raise OfflineError(f"{_title(argv)}: exit {done.returncode}: {last_words(words)}{where}")
    return (done.stdout or "").strip()


def _run(
    argv: Sequence[str], env: Mapping[str, str] | None, cwd: Path | None, timeout_s: float, log: Path | None
) -> subprocess.CompletedProcess[str]:
    if log is None:
        return subprocess.run(argv, env=env, cwd=cwd, timeout=timeout_s, text=True, capture_output=True, check=False)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as out:
        return subprocess.run(
            argv, env=env, cwd=cwd, timeout=timeout_s, text=True, stdout=out, stderr=subprocess.STDOUT, check=False
        )


def last_words(text: str) -> str:
    """The last line that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no word of why"


def _title(argv: Sequence[str]) -> str:
    return " ".join([Path(argv[0]).name, *argv[1:2]])


def stream(argv: Sequence[str], *, env: Mapping[str, str], log: Path, line_seen: Callable[[str], None]) -> None:
    """Runs a long program; every line goes to `log` and to `line_seen`. Raises OfflineError when it fails."""
    log.parent.mkdir(parents=True, exist_ok=True)
    last = ""
    with (
        log.open("w") as out,
        subprocess.Popen(argv, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as program,
    ):
        assert program.stdout is not None  # PIPE was asked for
        for line in program.stdout:
            out.write(line)
            line_seen(line.rstrip())
            last = line.strip() or last
    if program.returncode:
        raise OfflineError(f"{_title(argv)}: exit {program.returncode}: {last} (all of it: {log})")
