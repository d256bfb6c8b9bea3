"""What the whole suite tells at its end."""

from __future__ import annotations

import os
from pathlib import Path

from scripts.suite import report
from scripts.suite.runner import Run, Runner
from scripts.suite.steps import Step

PYTEST = """\
.F..
=================================== FAILURES ===================================
E       assert 1 == 2
========================= skipped, not passed =========================
tests/test_x.py::test_y: Grafana: no package carries it
=========================== short test summary info ============================
"""


def run(folder: Path, text: str, code: int, prepares: bool = False) -> Run:
    step = Step("step", ("sh", "-c", f"cat <<'END'\n{text}END\nexit {code}"), prepares=prepares)
    return Runner(folder, folder / "logs", os.environ, lambda _: None).go([step])[0]


def test_a_failed_step_is_told_from_its_first_failure_on(tmp_path: Path) -> None:
    told = "\n".join(report.lines([run(tmp_path, PYTEST, 1)]))
    assert "step ended with 1" in told and "assert 1 == 2" in told
    assert ".F.." not in told


def test_a_program_that_is_no_pytest_is_told_by_its_last_lines(tmp_path: Path) -> None:
    long = "".join(f"line {number}\n" for number in range(500))
    told = list(report.lines([run(tmp_path, long, 2)]))
    assert "line 499" in told and "line 300" in told and "line 299" not in told


def test_what_was_skipped_is_told_also_where_all_went_well(tmp_path: Path) -> None:
    told = "\n".join(report.lines([run(tmp_path, PYTEST, 0)]))
    assert "tests/test_x.py::test_y: Grafana: no package carries it" in told
    assert "assert 1 == 2" not in told and "short test summary" not in told


def test_what_only_prepares_does_not_count(tmp_path: Path) -> None:
    assert report.counts(run(tmp_path, "", 1))
    assert not report.counts(run(tmp_path, "", 1, prepares=True))
    assert not report.counts(run(tmp_path, "", 0))


BROKEN = """\
..
INTERNALERROR> Traceback (most recent call last):
INTERNALERROR>   File "worker.py", line 9, in send
INTERNALERROR> E   OSError: [Errno 28] No space left on device
INTERNALERROR> AssertionError: ('tests/test_x.py::test_y', <WorkerController gw0>)
INTERNALERROR> assert not 'tests/test_x.py::test_y'
================= 2 passed in 1.00s =================
"""


def test_the_last_lines_say_what_made_it_fail(tmp_path: Path) -> None:
    failed = PYTEST + "FAILED tests/test_x.py::test_z - assert 1 == 2\n"
    told = list(report.lines([run(tmp_path, failed, 1)]))
    assert told[-2:] == ["\n===== what made it fail =====", "step: FAILED tests/test_x.py::test_z - assert 1 == 2"]


def test_a_pytest_that_broke_itself_says_by_what(tmp_path: Path) -> None:
    told = list(report.lines([run(tmp_path, BROKEN, 3)]))
    assert told[-2:] == [
        "step: pytest itself: OSError: [Errno 28] No space left on device",
        "step: pytest itself: AssertionError: ('tests/test_x.py::test_y', <WorkerController gw0>)",
    ]


def test_another_program_is_named_with_its_code(tmp_path: Path) -> None:
    assert list(report.lines([run(tmp_path, "no\n", 7)]))[-1] == "step: ended with 7; its last words are above"
    assert "what made it fail" not in "\n".join(report.lines([run(tmp_path, "no\n", 7, prepares=True)]))
