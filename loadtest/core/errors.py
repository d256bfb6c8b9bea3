"""Errors that end a run before it has a result.

LoadtestError
    UsageProblem     an argument or a file is wrong                          exit 2
    ServerProblem    the server cannot be reached or refuses the key         exit 4
"""

from __future__ import annotations


class LoadtestError(Exception):
    """A problem a person can mend: one line, where and what would be right."""

    exit_code = 2


class UsageProblem(LoadtestError):
    """An argument or a file is wrong."""

    exit_code = 2


class ServerProblem(LoadtestError):
    """The server cannot be reached, is not ready, or refuses the key."""

    exit_code = 4
