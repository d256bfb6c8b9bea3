"""`scripts/demo` as a person runs it: the main job with the real engine, and Ctrl-C in the middle of it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.engine, pytest.mark.timeout(1800)]  # a busy machine takes minutes to start vLLM


class Demo:
    """`scripts/demo` while it runs; what it has started is kept, as other tests start the same programs beside it."""

    def __init__(self, *words: str) -> None:
        self.ports = (free_port(), free_port())
        ports = ["--gateway-port", str(self.ports[0]), "--engine-port", str(self.ports[1])]
        # A session of its own, so that the whole group can be sent Ctrl-C as a terminal does.
        self.process = subprocess.Popen(
            ["scripts/demo", *ports, *words], cwd=ROOT, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.said = ""
        self._started: set[psutil.Process] = set()

    def listen(self, until: str | None = None) -> str:
        """What it says up to the line with these words, or to its end."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said += line
            self._look()
            if until is not None and until in line:
                break
        return self.said

    def _look(self) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            self._started |= set(psutil.Process(self.process.pid).children(recursive=True))

    def interrupt(self) -> None:
        self._look()
        os.killpg(self.process.pid, signal.SIGINT)

    def exit_code(self) -> int:
        return self.process.wait(300)

    def left(self) -> list[str]:
        """What it has started and still lives, and the ports that are still taken."""
        assert len(self._started) >= 2, "nothing that it started was ever seen"
        alive = [process for process in self._started if process.is_running()]
        _, alive = psutil.wait_procs(alive, timeout=2)
        alive = [process for process in alive if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
        return [*map(str, alive), *(str(port) for port in self.ports if not is_free(port))]

    def end(self) -> None:
        self._look()
        self.process.kill()
        for process in self._started:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.communicate()


@pytest.fixture
def start_demo() -> Iterator[Callable[..., Demo]]:
    started: list[Demo] = []

    def start(*words: str) -> Demo:
        started.append(Demo(*words))
        return started[-1]

    yield start
    for one in started:
        one.end()


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_the_demo_measures_reports_and_stops_everything(start_demo: Callable[..., Demo]) -> None:
    reports = set((ROOT / "reports").glob("*")) if (ROOT / "reports").exists() else set()
    demo = start_demo("cpu-tiny", "--users", "1,5", "--requests-per-user", "3", "--max-tokens", "64")
    said = demo.listen()
    assert demo.exit_code() in (0, 3), said  # 3: measured, but this machine was too busy to be believed
    for words in ("starting vLLM 0.32.0", "stage 1/2", "stage 2/2", "TTFT p50/p95", "everything is stopped"):
        assert words in said
    (made,) = set((ROOT / "reports").glob("*")) - reports
    report = json.loads((made / "report.json").read_text())
    assert [stage["users"] for stage in report["stages"]] == [1, 5]
    page = (made / "report.html").read_text()
    assert "<svg" in page and "src=" not in page and "@import" not in page
    assert demo.left() == []


def test_the_demo_that_a_newcomer_types_talks(start_demo: Callable[..., Demo]) -> None:
    """Nothing is named: a real model, asked and answering before anything is measured."""
    demo = start_demo("--users", "1,2", "--requests-per-user", "1", "--max-tokens", "8")
    said = demo.listen()
    assert demo.exit_code() in (0, 3), said
    answer = said.partition("Why is the sky blue?")[2].partition("(first token ")[0]
    assert "Rayleigh" in answer or "scatter" in answer, said
    assert "TTFT p50/p95" in said and "everything is stopped" in said
    assert demo.left() == []


@pytest.mark.parametrize("moment", ["starting the engine core", "stage 1/1"])
def test_ctrl_c_leaves_no_process(moment: str, start_demo: Callable[..., Demo]) -> None:
    demo = start_demo("cpu-tiny", "--users", "5", "--requests-per-user", "200", "--max-tokens", "512")
    demo.listen(until=moment)
    time.sleep(1)
    demo.interrupt()
    said = demo.listen()
    assert demo.exit_code() == 130, said
    assert "Traceback" not in said
    assert demo.left() == []
