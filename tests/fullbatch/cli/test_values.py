from __future__ import annotations

import argparse
from collections.abc import Callable

import pytest

from fullbatch.cli import values


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (values.positive, "12", 12),
        (values.measure, "23.6", 23.6),
        (values.seconds, "0.2", 0.2),
        (values.users, "1,5,10", "1,5,10"),
        (values.port, "65535", 65535),
    ],
)
def test_what_is_right_is_read(read: Callable[[str], object], text: str, value: object) -> None:
    assert read(text) == value


@pytest.mark.parametrize(
    ("read", "text"),
    [
        *((values.positive, text) for text in ("0", "-1", "1.5", "many", "")),
        *((values.measure, text) for text in ("0", "-1", "nan", "inf", "1e9", "much")),
        *((values.seconds, text) for text in ("0.1", "3601", "nan", "soon")),
        *((values.users, text) for text in ("", "1,,5", "0", "1;5")),
        *((values.port, text) for text in ("0", "65536", "-1", "http")),
    ],
)
def test_anything_else_is_refused_with_what_would_be_right(read: Callable[[str], object], text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=f"'{text}': write "):
        read(text)
