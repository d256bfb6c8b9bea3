"""Reading what a load came to, and why an engine did not start. With engines: cli/test_tune.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fullbatch.core.errors import EngineError, HostError
from fullbatch.tune import engines


def stage(**client: Any) -> dict[str, Any]:
    known = {"output_tokens_per_s": 5.0, "ttft_ms": {"p50": 1, "p95": 2}, "itl_ms": {"p50": 3, "p95": 4}, "good": 9}
    return {"valid": True, "client": known | {"failures": {}} | client}


def written(path: Path, *stages: dict[str, Any]) -> Path:
    path.write_text(json.dumps({"stages": stages}), encoding="utf-8")
    return path


def test_figures_of_the_one_stage(tmp_path: Path) -> None:
    found = engines.read(written(tmp_path / "report.json", stage(failures={"http": 2})))
    assert found.figures == {
        "output_tokens_per_s": 5.0, "ttft_p50_ms": 1.0, "ttft_p95_ms": 2.0, "itl_p50_ms": 3.0, "itl_p95_ms": 4.0,
    }  # fmt: skip
    assert (found.failures, found.valid) == (2, True)


def test_a_load_without_an_answer_has_failures_and_no_figures(tmp_path: Path) -> None:
    none = stage(failures={"http": 3}, good=0, ttft_ms=None, itl_ms=None, output_tokens_per_s=None)
    assert engines.read(written(tmp_path / "report.json", none)).figures == {}


def test_a_report_that_is_not_whole_is_the_machines_fault(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    for text in (None, "", "{", "{}", '{"stages": []}'):
        if text is not None:
            path.write_text(text, encoding="utf-8")
        with pytest.raises(HostError, match="see that the disk has room, and start the race again: it goes on"):
            engines.read(path)


def test_the_diagnosis_of_an_arm_is_one_line() -> None:
    found = EngineError(
        "the engine process (3) has ended", "why: no room", "fix: users: 8", "the engine's log ends:", "x"
    )
    assert engines.reason(found) == "no room; users: 8"
    assert (
        engines.reason(EngineError("the engine process (3) has ended", "the log ends:"))
        == "the engine process (3) has ended"
    )
