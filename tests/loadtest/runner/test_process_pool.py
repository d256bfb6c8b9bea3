"""Runs of several client processes, as programs: whose users are whose, one start for all, and a worker that dies."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import psutil
import pytest

from tests.loadtest.programs import ROOT, fake_engine, loadtest, quick, read_report, wait_for_tokens


def rows(report: dict[str, Any]) -> list[dict[str, Any]]:
    return [dict(zip(report["records"]["columns"], row, strict=True)) for row in report["records"]["rows"]]


@pytest.fixture(scope="module")
def closed(engine: tuple[str, int], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One user and then five, by two processes."""
    out = tmp_path_factory.mktemp("closed")
    done = loadtest(*quick(engine[0], out, users="1,5", processes=2))
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return read_report(out)


def test_every_user_asks_as_often_as_planned_whichever_process_it_is_in(closed: dict[str, Any]) -> None:
    for stage, users in zip(closed["stages"], (1, 5), strict=True):
        asked = sorted((row["user"], row["index"]) for row in rows(closed) if row["stage"] == stage["number"])
        assert asked == [(user, index) for user in range(users) for index in range(2)]
        assert stage["complete"] and stage["client"]["requests"] == 2 * users


def test_all_processes_let_their_users_go_at_one_moment(closed: dict[str, Any]) -> None:
    first = [row for row in rows(closed) if row["stage"] == 2 and row["index"] == 0]
    [released] = {row["plan_us"] for row in first}
    assert released == pytest.approx(closed["stages"][1]["start_s"] * 1e6, abs=1)
    assert max(row["send_us"] for row in first) < min(row["first_us"] for row in first)


def test_each_process_has_its_own_lateness_and_one_without_users_none(closed: dict[str, Any]) -> None:
    alone, five = (stage["health"]["processes"] for stage in closed["stages"])
    assert [one["lag_p99_ms"] is None for one in alone] == [False, True]
    for name in ("lag_p99_ms", "dispatch_p99_ms", "cpu_share"):
        assert all(one[name] is not None for one in five)
    health = closed["stages"][1]["health"]
    assert health["lag_p99_ms"] == max(one["lag_p99_ms"] for one in five)


def test_the_report_says_how_many_and_keeps_its_schema(closed: dict[str, Any]) -> None:
    assert closed["arguments"]["processes"] == 2
    schema = json.loads((ROOT / "loadtest/report/report_schema.json").read_text())
    jsonschema.validate(closed, schema)


def test_arrivals_are_divided_and_none_is_sent_twice(engine: tuple[str, int], tmp_path: Path) -> None:
    open_loop = quick(engine[0], tmp_path, mode="open", rates="30", seconds=2, processes=3)
    done = loadtest(*open_loop)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    report = read_report(tmp_path)
    by_number = sorted(rows(report), key=lambda row: row["user"])
    assert [row["user"] for row in by_number] == list(range(report["stages"][0]["planned"]))
    plans = [row["plan_us"] for row in by_number]
    assert plans == sorted(plans) and len(set(plans)) == len(plans) > 20


def start(url: str, out: Path) -> tuple[subprocess.Popen[str], list[psutil.Process]]:
    """A run of two workers in the middle of a stage of ten seconds, and its workers."""
    arguments = quick(url, out, users="2", requests_per_user=100, max_tokens=10, warmup=0, processes=2)
    command = [sys.executable, "-m", "loadtest", *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("stage 1/1"):
            break
    wait_for_tokens(url, 150)
    return process, psutil.Process(process.pid).children()


def test_a_worker_that_dies_is_named_and_the_run_is_invalid(tmp_path: Path) -> None:
    with fake_engine(ttft_ms=5, itl_ms=20) as (url, _):
        process, workers = start(url, tmp_path)
        workers[1].kill()
        out, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (3, "")
    assert f"client process 2 (pid {workers[1].pid}) ended by SIGKILL at 2 users" in out
    assert not psutil.wait_procs(workers, timeout=5)[1]
    report = read_report(tmp_path)
    assert report["verdict"]["kind"] == "invalid" and not report["stages"][0]["complete"]
    assert {row["user"] for row in rows(report)} == {0, 1}  # what the dead one had told by then is kept


def test_workers_do_not_outlive_a_run_that_is_killed(tmp_path: Path) -> None:
    with fake_engine(ttft_ms=5, itl_ms=20) as (url, _):
        process, workers = start(url, tmp_path)
        process.kill()
        process.communicate(timeout=10)
        assert len(workers) == 2 and not psutil.wait_procs(workers, timeout=10)[1]
