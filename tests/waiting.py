"""Waiting for what another process or thread does: the one loop of all tests."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TypeVar
from urllib.error import HTTPError

Answer = TypeVar("Answer")


def wait_for(ask: Callable[[], Answer | None], within_s: float, what: str | Callable[[], str]) -> Answer:
    """Ask until the answer is true, and return it; AssertionError with `what` and the last answer after the limit.

    The limit is for a machine that has nothing else to do; where others wait for its cores, it is so much longer.
    An OSError is an answer too, a false one: nobody listens yet, or the program says with 503 that it is not ready.
    """
    began = time.monotonic()
    while True:
        try:
            if answer := ask():
                return answer
            last: object = answer
        except OSError as error:
            last = error
            if isinstance(error, HTTPError):
                error.close()  # else its socket is found open by whichever test runs next
        limit = within_s * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
        if time.monotonic() - began > limit:
            said = what if isinstance(what, str) else what()
            raise AssertionError(f"not within {limit:.1f} s: {said} (last answer: {last!r})")
        time.sleep(0.02)


def wait_until(true: Callable[[], object], within_s: float, what: str | Callable[[], str]) -> float:
    """As `wait_for`, but returns the seconds it took."""
    began = time.monotonic()
    wait_for(true, within_s, what)
    return time.monotonic() - began
