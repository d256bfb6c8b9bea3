"""An engine as a process that is started again when it is stuck, and only then."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.fullbatch.checkout import REPOSITORY
from tests.fullbatch.runtime.test_stuck import page, served
from tests.waiting import wait_for

# Notes each start, has a worker, and listens as vLLM does: not where a socket lies already.
ENGINE = """
import os, socket, subprocess, sys, time
at = socket.socket(socket.AF_UNIX); at.bind(sys.argv[sys.argv.index("--uds") + 1])
worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])
with open({starts!r}, "a") as file: file.write(f"{{os.getpid()}} {{worker.pid}}\\n")
time.sleep(120)
"""


class Kept:
    """A keeper with an engine, and the gateway's page that it looks at."""

    def __init__(self, folder: Path, url: str, program: str = ENGINE) -> None:
        self._starts = folder / "starts"
        engine = [sys.executable, "-c", program.format(starts=str(self._starts)), "--uds", str(folder / "e.sock")]
        quick = ["--poll", "0.1", "--after", "60", "--not-before", "3", "--grace", "5"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "fullbatch.runtime.process.keeper", "--gateway", f"{url}/health",
             "--engine", "engine", *quick, "--", *engine],
            cwd=REPOSITORY, start_new_session=True, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def starts(self) -> list[list[int]]:
        """Ids of engine and worker at each start."""
        text = self._starts.read_text() if self._starts.exists() else ""
        return [[int(number) for number in line.split()] for line in text.splitlines()]

    def wait(self, true: Callable[[], bool], what: str) -> None:
        wait_for(true, 20, lambda: f"{what}: {self.starts()}")


Keep = Callable[..., Kept]


def lives(pid: int) -> bool:
    """What nobody has reaped yet lives no more."""
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


@pytest.fixture
def pages() -> dict[str, tuple[int, Any]]:
    return {"/health": (200, {"engines": []})}


@pytest.fixture
def keep(tmp_path: Path, pages: dict[str, tuple[int, Any]]) -> Iterator[Keep]:
    started: list[Kept] = []
    with served(pages) as url:

        def start(*words: str) -> Kept:
            started.append(Kept(tmp_path, url, *words))
            return started[-1]

        yield start
        for one in started:
            one.process.kill()
            for pid in [pid for start in one.starts() for pid in start if lives(pid)]:
                psutil.Process(pid).kill()
            if one.process.stdout and not one.process.stdout.closed:
                one.process.communicate()


def test_it_is_started_again_when_it_is_stuck_with_all_that_it_had(
    keep: Keep, pages: dict[str, tuple[int, Any]]
) -> None:
    kept = keep()
    kept.wait(lambda: len(kept.starts()) == 1, "started")
    pages["/health"] = (200, page(30))
    time.sleep(3.4)
    assert len(kept.starts()) == 1, "30 s are not enough"
    pages["/health"] = (503, page(61))
    kept.wait(lambda: len(kept.starts()) == 2, "started again")
    pages["/health"] = (200, {"engines": []})
    first, second = kept.starts()
    assert not any(map(lives, first)), "engine or worker lives on"
    assert all(map(lives, second))
    kept.process.send_signal(signal.SIGTERM)
    assert kept.process.wait(10) == 128 + signal.SIGTERM
    assert len(kept.starts()) == 2 and not lives(second[0])
    psutil.Process(second[1]).kill()  # `stop` ends what an engine leaves; it holds the pipe of this test
    said = kept.process.communicate()[0]
    assert re.search(r"structured output stuck for 6\d s: restarting the engine", said)


def test_another_that_is_stuck_is_not_ours(keep: Keep, pages: dict[str, tuple[int, Any]]) -> None:
    pages["/health"] = (200, {"engines": [dict(page(90)["engines"][1], name="engine-2")]})
    kept = keep()
    kept.wait(lambda: len(kept.starts()) == 1, "started")
    time.sleep(3.4)
    assert len(kept.starts()) == 1


def test_one_that_ends_by_itself_is_not_started_again(keep: Keep) -> None:
    kept = keep("import sys; print('RuntimeError: why', flush=True); sys.exit(3)  # {starts}")
    assert kept.process.wait(10) == 3
    assert "RuntimeError: why" in kept.process.communicate()[0]
