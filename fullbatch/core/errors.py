"""Errors that a person is shown, and their exit codes.

    FullbatchError            base; `exit_code` is the program's
    +- UsageError      (2)    a profile, template or option is wrong; the person edits it
    +- HostError       (4)    this machine lacks something: Docker, a GPU, a free port, disk, the engine
    +- EngineError     (5)    the engine did not start, or died while we waited for it
    +- StateError      (6)    already running, or not running

Exit codes 0 (done), 1 (a target was missed, or a check found something), 3 (a load-test run is invalid) and
130 (interrupted) come from the commands themselves. docs/operating.md lists all of them.
"""

from __future__ import annotations


class FullbatchError(Exception):
    """Something a person can act on. Each line says where, what, and what would be right."""

    exit_code = 1

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))


class UsageError(FullbatchError):
    """A profile, a template or an option is wrong."""

    exit_code = 2


class HostError(FullbatchError):
    """This machine lacks something the deployment needs."""

    exit_code = 4


class EngineError(FullbatchError):
    """The engine did not start or died while being waited for; carries the tail of its log."""

    exit_code = 5


class StateError(FullbatchError):
    """The deployment is already running, or is not running."""

    exit_code = 6


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP: ends as Ctrl-C does, but never only a part of what goes on."""


def not_running(name: str | None) -> StateError:
    """Said when profile `name`, or any profile, should run and does not."""
    if name:
        return StateError(f"profile '{name}' is not running; start it with: fullbatch up {name}")
    return StateError("nothing is running; start a profile with: fullbatch up PROFILE")
