"""The newest report of a folder that anybody may have written into."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from gateway.core.errors import NotFound
from gateway.pages import load_report
from gateway.pages.load_report import ReportUnusable
from tests.gateway.harness import error_of
from tests.gateway.pages.conftest import Served

SUMMARY: dict[str, Any] = {
    "schema": "fullbatch.loadtest.summary/1",
    "started_at": "2026-11-30T15:04:52+00:00",
    "workload": "chat",
    "verdict": "Ran clean: every request got its whole answer.",
    "stages": [
        {"side": "server", "label": "10 users", "requests": 30, "failures": 1, "output_tokens_per_s": 812.4,
         "ttft_ms": {"p50": 51.0, "p95": 90.0}, "itl_ms": None},
    ],
}  # fmt: skip


def write(folder: Path, name: str, content: object = SUMMARY, at: float = 1000.0) -> Path:
    made = folder / name
    made.mkdir(parents=True)
    text = content if isinstance(content, str) else json.dumps(content)
    (made / "summary.json").write_text(text)
    (made / "report.html").write_text(f"<html>{name}")
    os.utime(made / "summary.json", (at, at))
    return made


def test_the_one_that_was_written_last_is_shown(tmp_path: Path) -> None:
    assert load_report.last(tmp_path) is None and load_report.last(tmp_path / "none") is None
    with pytest.raises(NotFound):
        load_report.page(tmp_path)
    write(tmp_path, "z-old")
    write(tmp_path, "a-new", at=2000)
    (tmp_path / "empty").mkdir()
    (tmp_path / "summary.json").write_text("not in a folder")
    found = load_report.last(tmp_path)
    assert found is not None
    assert (found["name"], found["workload"], found["stages"]) == ("a-new", "chat", SUMMARY["stages"])
    assert load_report.page(tmp_path) == b"<html>a-new"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "is no summary"),
        ([], "is no summary"),
        ({**SUMMARY, "schema": "fullbatch.loadtest.summary/2"}, "is no summary"),
        ({**SUMMARY, "stages": [{}]}, "is no summary"),
        ({**SUMMARY, "verdict": "x" * 2000}, "is no summary"),
        (" " * (load_report.MAX_SUMMARY_BYTES + 1), "more than 256 KiB"),
    ],
)
def test_what_is_no_summary_is_told(tmp_path: Path, content: object, told: str) -> None:
    write(tmp_path, "bad", content)
    with pytest.raises(ReportUnusable, match=told) as refused:
        load_report.last(tmp_path)
    assert str(tmp_path) not in refused.value.message


def test_links_are_not_followed(tmp_path: Path) -> None:
    reports, elsewhere = tmp_path / "reports", tmp_path / "elsewhere"
    write(elsewhere, "secret", at=9000)
    write(reports, "real")
    (reports / "linked").symlink_to(elsewhere / "secret")
    (reports / "half").mkdir()
    (reports / "half" / "summary.json").symlink_to(elsewhere / "secret" / "summary.json")
    found = load_report.last(reports)
    assert found is not None and found["name"] == "real"
    (reports / "real" / "report.html").unlink()
    (reports / "real" / "report.html").symlink_to(elsewhere / "secret" / "report.html")
    with pytest.raises(ReportUnusable, match=r"real/report\.html cannot be read"):
        load_report.page(reports)


def test_a_pipe_holds_nobody_up(tmp_path: Path) -> None:
    made = write(tmp_path, "pipe")
    (made / "report.html").unlink()
    os.mkfifo(made / "report.html")
    with pytest.raises(ReportUnusable, match="is no file"):
        load_report.page(tmp_path)


def test_p199_operators_see_it_and_others_do_not(served: Served) -> None:
    body = served.get("/ui/v1/admin", served.operator).json()
    assert (body["report"]["name"], body["report_text"]) == ("2026-11-30_15-04-52", "")
    page = served.get("/ui/v1/report", served.operator)
    assert page.text == "<html>2026-11-30_15-04-52"
    assert page.headers["content-disposition"] == "attachment" and page.headers["cache-control"] == "no-store"
    assert error_of(served.get("/ui/v1/report", served.alice))["code"] == "operators_only"
    assert served.get("/ui/v1/report").status_code == 401
