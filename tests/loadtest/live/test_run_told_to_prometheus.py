"""A whole run that answers Prometheus while it goes on, and asks it afterwards."""

from __future__ import annotations

import csv
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from tests.loadtest.live.test_prometheus_exporter import Values, value, values
from tests.loadtest.programs import ROOT, loadtest, quick, read_report


def scrape(port: int) -> Values:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            return values(answer.read().decode())
    except OSError:
        return {}


def test_stages_come_and_go_while_it_runs(
    engine: tuple[str, int], tmp_path: Path, free_port: Callable[[], int]
) -> None:
    port = free_port()
    plan = quick(engine[0], tmp_path, users="2,4", requests_per_user=4, max_tokens=20, export_port=port)
    process = subprocess.Popen([sys.executable, "-m", "loadtest", *plan], cwd=ROOT, stdout=subprocess.DEVNULL)
    seen: list[Values] = []
    try:
        while process.poll() is None:
            seen.append(scrape(port))
            time.sleep(0.1)
    finally:
        process.kill()
        process.wait(10)
    assert process.returncode == 0
    stages = [dict(labels) for found in seen for name, labels in found if name == "loadtest_stage_info"]
    assert [label["users"] for label in stages] == sorted(label["users"] for label in stages)
    assert {(label["stage"], label["users"], label["workload"]) for label in stages} == {
        ("1", "2", "seed"), ("2", "4", "seed"),
    }  # fmt: skip
    counts = [value(found, "loadtest_requests_total", outcome="ok") or 0 for found in seen if found]
    assert counts == sorted(counts) and 8 <= counts[-1] <= 24


def test_the_tables_for_spreadsheets_lie_beside_the_report(engine: tuple[str, int], tmp_path: Path) -> None:
    done = loadtest(*quick(engine[0], tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    rows = list(csv.DictReader((tmp_path / "stages.csv").read_text().splitlines()))
    whole = read_report(tmp_path)["stages"]
    assert [float(row["total_time_s"]) for row in rows] == [stage["client"]["total_time_s"] for stage in whole]
    assert len((tmp_path / "requests.csv").read_text().splitlines()) == 1 + sum(s["client"]["requests"] for s in whole)
    assert f"{tmp_path}/stages.csv" in done.stdout


def test_a_run_is_not_lost_when_prometheus_is_down(
    engine: tuple[str, int], tmp_path: Path, free_port: Callable[[], int]
) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    done = loadtest(*quick(engine[0], tmp_path, users="1", prometheus=address))
    assert done.returncode == 0 and "verdict: Ran clean" in done.stdout
    assert done.stderr.count("\n") == 1 and f"report {tmp_path} --prometheus" in done.stderr
    assert read_report(tmp_path)["verdict"]["kind"] == "clean"
