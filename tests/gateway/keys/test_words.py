"""What a person may write for a term of a key; tests/gateway/keys/test_main.py has it on the command line."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import pytest

from gateway.keys import words


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (words.limit, "none", None), (words.limit, "60", 60), (words.yes, "no", False), (words.weight, "0.5", 0.5),
        (words.models, "all", None), (words.models, "a, b", ("a", "b")), (words.span, "2h", 7200.0),
        (words.span, "0", 0.0), (words.expiry, "none", None),
    ],
)  # fmt: skip
def test_words_and_what_they_mean(read: Callable[[str], Any], text: str, value: object) -> None:
    assert read(text) == value


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (words.limit, "0"), (words.limit, "-1"), (words.limit, "1.5"), (words.limit, str(2**53)), (words.yes, "y"),
        (words.weight, "nan"), (words.weight, "101"), (words.models, "a,,b"), (words.models, "a\nb"),
        (words.span, "2 h"), (words.expiry, "2020-01-01"), (words.expiry, "2027-02-30"),
    ],
)  # fmt: skip
def test_anything_else_is_told_with_what_would_be_right(read: Callable[[str], Any], text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="write|use revoke"):
        read(text)


def test_a_span_counts_from_now() -> None:
    found = words.expiry("1d")
    assert found is not None and 86_390 < found - time.time() < 86_410
