"""Ctrl-C half way: what there is, is written, and no process stays."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from loadtest.engines.sampler import scrape
from tests.loadtest.programs import ROOT, fake_engine, quick, read_report, wait_for_tokens


def start(url: str, out: Path, **options: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "loadtest", *quick(url, out, engine_metrics=f"{url}/metrics", **options)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def made(url: str) -> int:
    return int((scrape(f"{url}/metrics") or {}).get("generation_tokens") or 0)


def read_until(process: subprocess.Popen[str], start_of_line: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(start_of_line):
            return
    raise AssertionError(f"no line began with {start_of_line!r}")


@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_writes_what_it_has(tmp_path: Path, name: signal.Signals) -> None:
    """The second stage takes 8 s; it is stopped in the middle of its first answers."""
    with fake_engine(ttft_ms=5, itl_ms=20) as (url, _):
        process = start(url, tmp_path, users="1,2,50", requests_per_user=2, max_tokens=100, warmup=0)
        read_until(process, "stage 2/3")
        wait_for_tokens(url, made(url) + 20)
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(name)
        rest, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (130, "")
    assert children and not psutil.wait_procs(children, timeout=5)[1]
    report = read_report(tmp_path)
    assert report["complete"] is False
    assert [stage["complete"] for stage in report["stages"]] == [True, False]
    assert "incomplete" in rest and "* stopped before its end" in rest
    assert "incomplete" in (tmp_path / "report.html").read_text()


def test_a_stopped_run_of_several_processes_writes_what_they_all_have(tmp_path: Path) -> None:
    with fake_engine(ttft_ms=5, itl_ms=20) as (url, _):
        process = start(url, tmp_path, users="2", requests_per_user=200, max_tokens=10, warmup=0, processes=2)
        read_until(process, "stage 1/1")
        wait_for_tokens(url, 150)
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (130, "")
    assert len(children) == 3 and not psutil.wait_procs(children, timeout=5)[1]
    report = read_report(tmp_path)
    users = [row[1] for row in report["records"]["rows"]]
    assert users.count(0) > 1 and users.count(1) > 1
    assert [stage["complete"] for stage in report["stages"]] == [False]


def test_a_run_stopped_in_its_first_warm_up_has_an_empty_report(tmp_path: Path) -> None:
    """Warm-up answers of two seconds; nothing is measured yet."""
    with fake_engine(ttft_ms=2000) as (url, _):
        process = start(url, tmp_path, users="1", warmup=1)
        read_until(process, "stage 1/1")
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (130, "")
    assert read_report(tmp_path)["stages"] == [] and "incomplete" in rest


def test_a_run_stopped_while_it_still_checks_ends_at_once(tmp_path: Path) -> None:
    """The engine takes a minute for the first token of the first probe."""
    with fake_engine(ttft_ms=60_000) as (url, _):
        process = start(url, tmp_path)
        read_until(process, "checking")
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=10)
    assert (process.returncode, errors) == (130, "loadtest: stopped before the first stage: nothing was measured\n")
    assert not (tmp_path / "report.json").exists()


@pytest.mark.parametrize("word", ["run", "selfcheck", "compare", "report"])
def test_ctrl_c_while_a_program_begins_is_one_line(word: str, tmp_path: Path) -> None:
    """At moments from the first import on. Before our first line Python itself would print a traceback, so not then."""
    begun = "import loadtest.__main__ as m, sys; print('begun', flush=True); sys.exit(m.main())"
    with fake_engine(ttft_ms=60_000) as (url, _):
        more = {
            "run": quick(url, tmp_path)[1:],
            "compare": [f"a={url},model=tiny", f"b={url},model=tiny", "--out", str(tmp_path)],
            "selfcheck": ["--seconds", "60"],
            "report": [str(tmp_path)],
        }[word]
        for late in (0.05, 0.2, 0.5, 1.0, 1.6):
            process = subprocess.Popen(
                [sys.executable, "-c", begun, word, *more],
                cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )  # fmt: skip
            read_until(process, "begun")
            time.sleep(late)
            children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=20)
            assert "Traceback" not in errors and errors.count("\n") == 1, (late, errors)
            assert process.returncode == 130 or word == "report", (late, errors)
            assert not psutil.wait_procs(children, timeout=10)[1]
