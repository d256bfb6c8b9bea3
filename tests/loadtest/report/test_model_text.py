"""Lines about each of several models. Whole runs with them: tests/loadtest/runner/test_modes.py."""

from __future__ import annotations

from typing import Any

from loadtest.report.model_text import model_lines

CLIENT: dict[str, Any] = {
    "requests": 4, "failures": {"503": 1}, "output_tokens_per_s": 12.34, "ttft_ms": {"p50": 10.0, "p95": 20.0},
    "itl_ms": None,
}  # fmt: skip


def test_each_model_of_each_stage_has_a_line() -> None:
    stage = {"side": "a", "label": "4 users", "by_model": {"m": CLIENT}}
    (line,) = model_lines({"sides": [{}], "stages": [stage]})
    assert line == "4 users: m: 4 requests, 1 failed, 12.3 tok/s, TTFT 10.0 / 20.0 ms, ITL – / –"
    (line,) = model_lines({"sides": [{}, {}], "stages": [stage, {"side": "b", "label": "4 users"}]})
    assert line.startswith("a, 4 users: m: ")
