"""The terms of a key as a person writes them: limits, models, times. Each function says what would be right.

They raise `argparse.ArgumentTypeError`, whose text argparse prints as it is.
"""

from __future__ import annotations

import argparse
import re
import time
from datetime import UTC, datetime

from gateway.core.priority import PRIORITIES

MAX_MODELS = 100
MAX_MODEL_CHARS = 256
MAX_SHOWN = 80
LATEST = datetime(9999, 1, 1, tzinfo=UTC).timestamp()
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def limit(text: str) -> int | None:
    if text == "none":
        return None
    if not text.isdecimal() or not 0 < int(text) < 2**53:
        raise argparse.ArgumentTypeError(f"'{text}': write a whole number above 0, or none")
    return int(text)


def yes(text: str) -> bool:
    if text not in ("yes", "no"):
        raise argparse.ArgumentTypeError(f"'{text}': write yes or no")
    return text == "yes"


def priority(text: str) -> str:
    if text not in PRIORITIES:
        raise argparse.ArgumentTypeError(f"'{text}': write {', '.join(PRIORITIES)}")
    return text


def weight(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0.01 <= found <= 100:
        raise argparse.ArgumentTypeError(f"'{text}': write a number from 0.01 to 100")
    return found


def models(text: str) -> tuple[str, ...] | None:
    if text == "all":
        return None
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise argparse.ArgumentTypeError(f"'{text[:MAX_SHOWN]}': write names separated by commas, or all")
    if len(names) > MAX_MODELS or not all(name.isprintable() and len(name) <= MAX_MODEL_CHARS for name in names):
        raise argparse.ArgumentTypeError(
            f"write at most {MAX_MODELS} names of at most {MAX_MODEL_CHARS} characters, all of which can be printed"
        )
    return names


def span(text: str) -> float:
    found = re.fullmatch(r"(\d{1,6})([smhd])|0", text)
    if not found:
        raise argparse.ArgumentTypeError(f"'{text}': write a time such as 90s, 10m, 2h or 30d, or 0")
    return 0.0 if text == "0" else float(int(found[1]) * _UNITS_S[found[2]])


def expiry(text: str) -> float | None:
    if text == "none":
        return None
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        try:
            expires = datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() + _UNITS_S["d"]
        except ValueError:
            raise argparse.ArgumentTypeError(f"'{text}': no such day; write one such as 2027-01-31") from None
    else:
        expires = time.time() + span(text)
    if expires > LATEST:
        raise argparse.ArgumentTypeError(f"'{text}': too far away; write a day before the year 9999, or none")
    if expires <= time.time():
        raise argparse.ArgumentTypeError(f"'{text}': not in the future; to end a key now, use revoke")
    return expires
