"""Steps side by side: what waits for what, what fails, and that an interrupt leaves nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from scripts.suite.runner import Run, Runner
from scripts.suite.steps import Step
from tests.waiting import wait_for

ROOT = Path(__file__).resolve().parents[3]


# Waits for the other's file: only side by side can both come to an end.
MEETS = 'touch "$0"; for _ in $(seq 200); do [ -e "$1" ] && exit 0; sleep 0.05; done; exit 1'


SLEEPS = """
import sys
from pathlib import Path
from scripts.suite.runner import Runner
from scripts.suite.steps import Step

# The one below makes a session of its own and has let go of the one that started it.
grandchild = 'setsid sh -c "echo \\\\$\\\\$ >> pids; trap : INT; while :; do sleep 1; done" & echo $$ >> pids; wait'
folder = Path(sys.argv[1])
try:
    Runner(folder, folder / "logs", {"PATH": "/usr/bin:/bin"}, print).go([Step("long", ("sh", "-c", grandchild))])
except KeyboardInterrupt:
    sys.exit(130)
"""


def go(folder: Path, *steps: Step) -> tuple[dict[str, Run], list[str]]:
    said: list[str] = []
    runs = Runner(folder, folder / "logs", os.environ, said.append).go(steps)
    return {run.step.name: run for run in runs}, said


def shell(name: str, text: str, *after: str) -> Step:
    return Step(name, ("sh", "-c", text), after)


def test_steps_run_side_by_side(tmp_path: Path) -> None:
    one = Step("one", ("sh", "-c", MEETS, str(tmp_path / "1"), str(tmp_path / "2")))
    two = Step("two", ("sh", "-c", MEETS, str(tmp_path / "2"), str(tmp_path / "1")))
    runs, _ = go(tmp_path, one, two)
    assert {name: run.code for name, run in runs.items()} == {"one": 0, "two": 0}


def test_a_step_waits_for_those_it_names_also_when_they_fail(tmp_path: Path) -> None:
    runs, said = go(tmp_path, shell("last", "cat made", "first"), shell("first", "sleep 0.3; echo 7 > made; exit 3"))
    assert (runs["first"].code, runs["last"].code) == (3, 0)
    assert runs["last"].log.read_text() == "7\n"
    assert [line.partition(" after")[0].partition(" in")[0] for line in said] == ["first: FAILED (3)", "last: done"]


def test_the_line_about_its_end_holds_its_last_words(tmp_path: Path) -> None:
    _, said = go(tmp_path, shell("counting", "echo one; echo '==== 2 passed in 1 s ====='"))
    assert said == ["counting: done in 0.0 min: 2 passed in 1 s"]


def test_a_step_has_its_own_variables_and_no_input(tmp_path: Path) -> None:
    step = Step("asks", ("sh", "-c", 'cat; echo "$WORD"'), environment={"WORD": "hello"})
    runs, _ = go(tmp_path, step)
    assert runs["asks"].log.read_text() == "hello\n"


def test_what_a_step_costs_is_measured_apart_from_how_long_it_takes(tmp_path: Path) -> None:
    runs, _ = go(tmp_path, shell("works", f"{sys.executable} -c 'for _ in range(3_000_000): pass'; sleep 1"))
    assert 0 < runs["works"].cpu_seconds < runs["works"].seconds
    assert runs["works"].seconds > 1


def test_an_interrupt_ends_everything_that_was_started(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SLEEPS, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, start_new_session=True) as suite:
        pids = wait_for(lambda: two_pids(tmp_path / "pids"), 20, "both processes")
        suite.send_signal(signal.SIGINT)
        assert suite.wait(60) == 130
    assert not [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]


def two_pids(path: Path) -> list[int]:
    pids = list(map(int, path.read_text().split()))
    return pids if len(pids) == 2 else []
