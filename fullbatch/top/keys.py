"""Reads the terminal's keys: `q` ends `top`, as Ctrl-C does."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator

LEAVE = b"qQ"


@contextlib.contextmanager
def pressed() -> Iterator[Callable[[float], None]]:
    """A `sleep` that raises KeyboardInterrupt when `q` is pressed; the terminal is as before afterwards.

    Where standard input is no terminal, it is a plain sleep.
    """
    if not sys.stdin.isatty():
        yield time.sleep
        return
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    tty.setcbreak(terminal)  # keys come at once, Ctrl-C still interrupts
    try:
        yield lambda seconds: _sleep(terminal, seconds)
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _sleep(terminal: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        if not select.select([terminal], [], [], left)[0]:
            return
        typed = os.read(terminal, 64)
        if not typed:  # the terminal has gone
            time.sleep(max(0.0, deadline - time.monotonic()))
        elif any(key in LEAVE for key in typed):
            raise KeyboardInterrupt
