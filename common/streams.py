"""Standard input, output and error, where whoever started the program has closed them."""

from __future__ import annotations

import contextlib
import os
import sys


def open_missing() -> None:
    """Have each of the three that is closed read from and write to nowhere. The first thing that a program does.

    Else the next file that is opened gets its number, and what is meant for the terminal is written into that; and
    Python has None in place of the stream.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number, which is this one.
            with contextlib.suppress(OSError):
                os.open(os.devnull, os.O_RDWR)
                os.set_inheritable(number, True)
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)
