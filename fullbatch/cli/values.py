"""Readers of an option's value: each returns the value, or says what would be right."""

from __future__ import annotations

import argparse


def positive(text: str) -> int:
    """A whole number above 0."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}': write a whole number above 0")
    return int(text)


def measure(text: str) -> float:
    """A number above 0, such as GiB."""
    if not 0 < (value := _number(text)) < 1e6:
        raise argparse.ArgumentTypeError(f"'{text}': write a number above 0")
    return value


def seconds(text: str) -> float:
    """Seconds from 0.2 to 3600."""
    if not 0.2 <= (value := _number(text)) <= 3600:
        raise argparse.ArgumentTypeError(f"'{text}': write seconds from 0.2 to 3600")
    return value


def users(text: str) -> str:
    """Numbers of users with commas between, as they were written."""
    # Looked at here, before an engine is started for nothing; the load test reads it again.
    if not all(part.isdigit() and int(part) >= 1 for part in text.split(",")):
        raise argparse.ArgumentTypeError(f"'{text}': write numbers of users separated by commas, such as 1,5,10,50")
    return text


def port(text: str) -> int:
    """A port of TCP."""
    if not text.isdigit() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"'{text}': write a port from 1 to 65535")
    return int(text)


def _number(text: str) -> float:
    """0, which no option takes, where it is none."""
    try:
        return float(text)
    except ValueError:
        return 0.0


def keys_profile(words: list[str]) -> tuple[str | None, list[str]]:
    """`--profile X` out of the words of `keys`, wherever it stands among them; the others as they are."""
    for number, word in enumerate(words):
        if word == "--profile" and number + 1 < len(words):
            return words[number + 1], [*words[:number], *words[number + 2 :]]
        if word.startswith("--profile="):
            return word.partition("=")[2], [*words[:number], *words[number + 1 :]]
    return None, words
