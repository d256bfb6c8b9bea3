"""A stage's usage in words, on the terminal and the page."""

from __future__ import annotations

from typing import Any

import pytest

from loadtest.report.html_page import render
from loadtest.report.usage_text import usage_line, usage_lines
from tests.loadtest.reports import Side, make


def client(requests: int, prompt: int, cached: int | None, completion: int, of: int = 4) -> dict[str, Any]:
    usage = {"requests": requests, "prompt_tokens": prompt, "cached_tokens": cached, "completion_tokens": completion}
    return {"requests": of, "usage": usage}


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        (client(4, 25600, 12800, 1024), "25,600 prompt tokens, 12,800 of them cached (50 %); 1,024 completion tokens"),
        (client(4, 100, 0, 8), "100 prompt tokens, 0 of them cached (0 %); 8 completion tokens"),
        (
            client(3, 100, None, 8),
            "100 prompt tokens, cached not told; 8 completion tokens; 1 of 4 requests told none",
        ),
        (client(4, 0, 0, 8), "0 prompt tokens, 0 of them cached; 8 completion tokens"),
        (client(0, 0, None, 0), "no answer told its usage"),
        ({"requests": 4}, ""),
    ],
)
def test_it_is_a_line(numbers: dict[str, Any], expected: str) -> None:
    assert usage_line(numbers) == expected


def test_the_terminal_has_a_line_for_each_stage_and_side() -> None:
    one = usage_lines(make(users=(1, 5))).splitlines()
    assert one[0] == "usage, as the server counted it:"
    assert one[1:] == [
        "  1 user: 30 prompt tokens, cached not told; 60 completion tokens",
        "  5 users: 150 prompt tokens, cached not told; 300 completion tokens",
    ]
    two = usage_lines(make((Side("a"), Side("b")), users=(1,))).splitlines()
    assert [line.partition(":")[0] for line in two[1:]] == ["  a, 1 user", "  b, 1 user"]


def test_the_page_has_it_and_a_report_of_an_older_version_a_dash() -> None:
    made = make(users=(5,))
    assert "150 prompt tokens, cached not told; 300 completion tokens" in render(made)
    for stage in made["stages"]:
        del stage["client"]["usage"]
    assert "completion tokens" not in render(made) and usage_lines(made) == ""
