"""Readers of an option's value: each returns the value, or says what would be right."""

from __future__ import annotations

import argparse

from loadtest.workload.schema import MOST

_DIGITS = 7


def percent(text: str) -> float:
    """A share of a hundred, below 100."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 100:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number from 0 to 100")
    return value


def port(text: str) -> int:
    """A TCP port."""
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"'{text}' is not a port from 1 to 65535")
    return int(text)


def users(text: str) -> tuple[int, ...]:
    """Numbers of users, separated by commas."""
    try:
        counts = tuple(int(part) for part in text.split(","))
    except ValueError:
        counts = ()
    if not counts or not all(1 <= count <= MOST for count in counts):
        raise argparse.ArgumentTypeError(f"'{text}' is not a list of whole numbers of at least 1, such as 1,5,10,50")
    return counts


def rates(text: str) -> tuple[float, ...]:
    """Requests per second, separated by commas; a ramp may begin at 0."""
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        found = ()
    if not found or not all(0 <= rate < 1e6 for rate in found):
        raise argparse.ArgumentTypeError(f"'{text}' is not a list of numbers, such as 1,2.5,8")
    return found


class at_least:
    """Reads a whole number of at least `lowest`."""

    def __init__(self, lowest: int) -> None:
        self._lowest = lowest

    def __call__(self, text: str) -> int:
        if not text.isdecimal() or len(text) > _DIGITS or int(text) < self._lowest:
            raise argparse.ArgumentTypeError(f"'{text}' is not a whole number of at least {self._lowest}")
        return int(text)


def since(text: str) -> float:
    """Seconds of `90m`, `12h` or `7d`."""
    seconds = {"m": 60, "h": 3600, "d": 86400}
    if not text[:-1].isdecimal() or len(text) > 7 or text[-1:] not in seconds or not int(text[:-1]):
        raise argparse.ArgumentTypeError(f"'{text}': write a time such as 90m, 12h or 7d")
    return float(int(text[:-1]) * seconds[text[-1]])


def above_zero(text: str) -> float:
    """A number of seconds, milliseconds or tokens per second."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number above 0")
    return value
