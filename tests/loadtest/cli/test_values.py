from __future__ import annotations

import argparse
from collections.abc import Callable

import pytest

from loadtest.cli import values


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (values.percent, "12.5", 12.5),
        (values.port, "65535", 65535),
        (values.users, "1,5,10", (1, 5, 10)),
        (values.rates, "0,2.5", (0.0, 2.5)),
        (values.at_least(0), "0", 0),
        (values.above_zero, "0.2", 0.2),
    ],
)
def test_what_is_right_is_read(read: Callable[[str], object], text: str, value: object) -> None:
    assert read(text) == value


@pytest.mark.parametrize(
    ("read", "text"),
    [
        *((values.percent, text) for text in ("-1", "100", "nan", "much")),
        *((values.port, text) for text in ("0", "65536", "-1", "http")),
        *((values.users, text) for text in ("", "1,,5", "0", "1;5")),
        *((values.rates, text) for text in ("", "1,,5", "-1", "1e9", "nan")),
        *((values.at_least(1), text) for text in ("0", "-1", "1.5", "99999999", "many")),
        *((values.above_zero, text) for text in ("0", "-1", "nan", "1e9", "soon")),
    ],
)
def test_anything_else_is_refused_with_what_would_be_right(read: Callable[[str], object], text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=f"'{text}' is not a"):
        read(text)
