"""A second look at failed tests, with pytest itself: what passes alone does not fail the run, all else does."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from scripts.suite import alone, report
from scripts.suite.runner import Run, Runner
from scripts.suite.steps import Step

FLAKY = """
from pathlib import Path

def test_that_passes():
    Path("passed").write_text(Path("passed").read_text() + "x" if Path("passed").exists() else "x")

def test_that_needs_a_second_run():
    again = Path("seen").exists()
    Path("seen").touch()
    assert again
"""
BROKEN = "\ndef test_that_is_broken():\n    assert 1 == 2\n"
REFUSED = "echo 'FAILED tests/test_x.py::test_y: in CI a skip is a failure'; "


def look(folder: Path, tests: str, before: str = "") -> Run:
    (folder / "test_it.py").write_text(tests)
    base = f"{before}{sys.executable} -m pytest -p no:asyncio -o cache_dir=cache test_it.py"
    again = f"{base} --last-failed --last-failed-no-failures=none"
    step = Step("step", ("sh", "-c", base), again=("sh", "-c", again), caches=("cache",))
    runner = Runner(folder, folder / "logs", os.environ, lambda _: None)
    runs = runner.go([step])
    alone.look_again(runs, folder, runner.one)
    return runs[0]


def test_what_fails_beside_others_and_passes_alone_is_told_and_does_not_count(tmp_path: Path) -> None:
    run = look(tmp_path, FLAKY)
    assert run.code == 1 and run.alone is not None and run.alone.code == 0
    assert not report.counts(run)
    assert (tmp_path / "passed").read_text() == "x"  # only what failed is run again
    told = "\n".join(report.lines([run]))
    assert "passed when it ran alone" in told and "test_that_needs_a_second_run" in told


def test_what_fails_alone_too_fails_the_run_and_is_told_twice(tmp_path: Path) -> None:
    run = look(tmp_path, FLAKY + BROKEN)
    assert report.counts(run)
    assert "\n".join(report.lines([run])).count("assert 1 == 2") >= 2


@pytest.mark.parametrize(
    ("tests", "before"),
    [
        (FLAKY, REFUSED),
        ("import nothing_of_this_name\n", ""),
        ("import pytest\n@pytest.mark.parametrize('n', range(30))\ndef test_n(n):\n    assert n > 50\n", ""),
        ("def test_well():\n    pass\n", ""),
    ],
    ids=["a skip", "no tests", "too many", "nothing failed"],
)
def test_there_is_no_second_look_where_it_would_say_nothing(tmp_path: Path, tests: str, before: str) -> None:
    assert look(tmp_path, tests, before).alone is None


def test_a_step_without_a_second_command_has_none(tmp_path: Path) -> None:
    runner = Runner(tmp_path, tmp_path / "logs", os.environ, lambda _: None)
    runs = runner.go([Step("check", ("false",))])
    alone.look_again(runs, tmp_path, runner.one)
    assert runs[0].alone is None and report.counts(runs[0])
