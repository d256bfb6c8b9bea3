"""`record`: which logs it takes. What it makes of them: tests/loadtest/workload/test_recording.py."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from loadtest.cli import record
from loadtest.core.errors import UsageProblem
from tests.common.test_trace_file import LOG


def test_the_log_of_what_runs_here_is_taken_unless_another_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "gateway.log"
    log.write_text(str(LOG).replace("'", '"').replace("True", "true") + "\n", encoding="utf-8")
    parser = argparse.ArgumentParser()
    record.options(parser)
    args = parser.parse_args(["--out", str(tmp_path / "t.jsonl")])
    monkeypatch.delenv("FULLBATCH_LOG", raising=False)
    with pytest.raises(UsageProblem, match="docker compose logs"):
        record.run(args)
    monkeypatch.setenv("FULLBATCH_LOG", str(log))
    assert record.run(args) == 0
    assert "1 requests" in capsys.readouterr().out


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    record.options(parser)
    with pytest.raises(UsageProblem, match="No such file"):
        record.run(parser.parse_args(["--log", "-", "--out", str(tmp_path / "none" / "t.jsonl")]))
