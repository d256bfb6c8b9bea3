"""`python -m loadtest`. A run patches the standard library first of all: Locust does so when it is imported."""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

from common import streams


def _leave(*_: object) -> NoReturn:
    """Ctrl-C before a run has a stage to keep, also while modules are still being imported. What was started ends with
    its stdin; an exception could come up in the middle of any import, and be printed or swallowed there."""
    os.write(2, b"loadtest: stopped: nothing was measured\n")
    os._exit(130)


def main() -> int:
    streams.open_missing()
    worker_process = sys.argv[1:] == ["worker"]  # started by a run with --processes, not by a person
    for name in (signal.SIGINT, signal.SIGTERM):
        # The worker's end is that of its stdin; Ctrl-C goes to the run, which then tells it.
        signal.signal(name, signal.SIG_IGN if worker_process and name == signal.SIGINT else _leave)
    if sys.argv[1:2] in (["run"], ["compare"], ["selfcheck"], ["worker"]):
        import locust  # noqa: F401 - gevent's patch must come before anything that imports socket, ssl or threading
    if worker_process:
        from loadtest.runner.worker import main as worker

        return worker()
    from loadtest.cli.commands import main as cli

    return cli(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
