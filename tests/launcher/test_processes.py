from __future__ import annotations

import os
import signal
import subprocess
import sys

from launcher import processes
from tests.waiting import wait_until


def test_this_process_is_seen_and_one_that_has_ended_is_not() -> None:
    mine = processes.see(os.getpid())
    assert mine is not None and mine.pid == os.getpid() and mine.started > 0
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and is still listed
    assert processes.see(child.pid) is None
    child.wait()
    assert processes.see(1 << 30) is None


def test_a_group_is_found_without_its_leader_and_reaped() -> None:
    command = ["/bin/sh", "-c", "sleep 300 & echo $!"]
    leader = subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE, text=True)
    assert leader.stdout is not None
    with leader.stdout as out:
        child = int(out.readline())
    leader.wait()
    assert processes.group(leader.pid, 0) == [child]
    assert processes.group(leader.pid, 1 << 60) == []  # begun before: somebody else's
    processes.signal_all([child, 1 << 30], signal.SIGKILL)
    wait_until(lambda: not processes.group(leader.pid, 0), 10, "the group has ended")
    processes.reap(leader.pid)
