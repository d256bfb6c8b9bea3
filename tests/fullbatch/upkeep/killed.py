"""A command that is killed in the middle, as by SIGKILL or a power cut: in a process of its own, which ends at once."""

from __future__ import annotations

import os
from collections.abc import Callable

KILLED = 9


def runs(action: Callable[[], object]) -> int:
    """The exit code of `action` in a child: 0 when it returns, KILLED when it ends in `die`, else 1."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            action()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def die() -> None:
    os._exit(KILLED)
