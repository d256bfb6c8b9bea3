"""A file that a person named, as text, and at most so much of it.

FileFault        the file is not to be worked with; one line that says why, without the file's name
    Unreadable   it cannot be read at all, is too large or no text: it may be the wrong file
"""

from __future__ import annotations

from pathlib import Path

# Far more than any settings: a wrong file (a disk, a log, a model) is refused before it fills the memory.
MAX_BYTES = 1 << 20


class FileFault(Exception):
    """The message is one line, to be told behind the file's name."""


class Unreadable(FileFault):
    """It may be the wrong file."""


def read_text(path: Path, max_bytes: int = MAX_BYTES) -> str:
    """UTF-8, with a byte order mark or without. Unreadable where it is not that, or longer than `max_bytes`."""
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise Unreadable(f"cannot be read ({(error.strerror or str(error)).lower()})") from None
    except ValueError as error:  # a path with a zero byte in it
        raise Unreadable(f"cannot be read ({error})") from None
    if len(data) > max_bytes:
        raise Unreadable(f"is larger than {_size(max_bytes)}")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable(f"cannot be read (byte {error.start} is not UTF-8 text)") from None


def _size(count: int) -> str:
    return f"{count >> 20} MiB" if count >= 1 << 20 else f"{count >> 10} KiB"
