"""`scripts/demo` as a person runs it: the main job with the real engine, and Ctrl-C in the middle of it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.engine, pytest.mark.timeout(1800)]  # a busy machine takes minutes to start vLLM


def demo(gateway: int, engine: int, *words: str) -> subprocess.Popen[str]:
    ports = ["--gateway-port", str(gateway), "--engine-port", str(engine)]
    # A session of its own, so that the whole group can be sent Ctrl-C as a terminal does.
    return subprocess.Popen(
        ["scripts/demo", *ports, *words], cwd=ROOT, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def ours() -> set[int]:
    """Every process that this checkout's programs have started: all of them run in its folder, wherever others' run."""
    marks = ("/.fullbatch/engine/", "VLLM::", "-m gateway", "-m loadtest", "-m fullbatch")
    found = set()
    for process in psutil.process_iter(["cmdline", "cwd", "status"]):
        line = " ".join(process.info["cmdline"] or [])
        is_here = process.info["cwd"] == str(ROOT) and process.info["status"] != psutil.STATUS_ZOMBIE
        if is_here and any(mark in line for mark in marks):
            found.add(process.pid)
    return found


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_what_is_left_of_another_checkout_s_is_not_ours(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)", "-m gateway"]
    for folder, count in ((ROOT, 1), (tmp_path, 0)):
        before = ours()
        with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None and process.stdout.readline()
            assert len(ours() - before) == count
            process.kill()


def test_the_demo_measures_reports_and_stops_everything(free_port: Callable[[], int]) -> None:
    before, ports = ours(), (free_port(), free_port())
    reports = set((ROOT / "reports").glob("*")) if (ROOT / "reports").exists() else set()
    with demo(*ports, "--users", "1,5", "--requests-per-user", "3", "--max-tokens", "64") as process:
        said, _ = process.communicate(timeout=1500)
    assert process.returncode in (0, 3), said  # 3: measured, but this machine was too busy to be believed
    for words in ("starting vLLM 0.32.0", "stage 1/2", "stage 2/2", "TTFT p50/p95", "everything is stopped"):
        assert words in said
    (made,) = set((ROOT / "reports").glob("*")) - reports
    report = json.loads((made / "report.json").read_text())
    assert [stage["users"] for stage in report["stages"]] == [1, 5]
    page = (made / "report.html").read_text()
    assert "<svg" in page and "src=" not in page and "@import" not in page
    assert ours() <= before
    assert all(is_free(port) for port in ports)


@pytest.mark.parametrize("moment", ["starting the engine core", "stage 1/1"])
def test_ctrl_c_leaves_no_process(moment: str, free_port: Callable[[], int]) -> None:
    before, ports = ours(), (free_port(), free_port())
    words = ["--users", "5", "--requests-per-user", "200", "--max-tokens", "512"]
    with demo(*ports, *words) as process:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if moment in line:
                break
        time.sleep(1)
        os.killpg(process.pid, signal.SIGINT)
        rest, _ = process.communicate(timeout=300)
    assert process.returncode == 130, "".join(said) + rest
    assert "Traceback" not in rest
    assert ours() <= before
    assert all(is_free(port) for port in ports)
