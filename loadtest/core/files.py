"""Reads a file that a person named, at most so much of it. Every fault is one line with the option that named it."""

from __future__ import annotations

from pathlib import Path

from loadtest.core.errors import UsageProblem

_MOST_BYTES = 1 << 20  # of settings that a person wrote; a device or a pipe may have no end


def read_text(path: Path, option: str) -> str:
    """UTF-8. UsageProblem when it cannot be read, is no text, or is longer than any such file."""
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise UsageProblem(f"{option} {path}: {error.strerror or error}") from error
    except ValueError as error:  # a path with a zero byte in it
        raise UsageProblem(f"{option}: {error}") from error
    if len(content) > _MOST_BYTES:
        raise UsageProblem(f"{option} {path}: more than {_MOST_BYTES >> 20} MiB; that is not such a file")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageProblem(f"{option} {path}: not UTF-8 text") from error
