"""An engine on the processor gives way to everybody else."""

from __future__ import annotations

import subprocess
from pathlib import Path

import psutil
import pytest

from fullbatch.runtime.process import niceness


def test_a_process_and_its_session_give_way() -> None:
    with subprocess.Popen(["sleep", "30"], start_new_session=True) as process:
        try:
            niceness.give_way(process.pid)
            assert psutil.Process(process.pid).nice() == niceness.NICENESS
            autogroup = Path(f"/proc/{process.pid}/autogroup")
            if autogroup.exists():
                assert autogroup.read_text().endswith(f"nice {niceness.NICENESS}\n")
        finally:
            process.kill()


def test_a_process_that_has_ended_is_no_error() -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    niceness.give_way(process.pid)


@pytest.mark.parametrize("pid", [2**22 + 1])
def test_a_process_that_never_was_is_no_error(pid: int) -> None:
    niceness.give_way(pid)
