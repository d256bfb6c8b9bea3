"""`python -m loadtest`. A run patches the standard library first of all: Locust does so when it is imported."""

from __future__ import annotations

import sys


def main() -> int:
    if sys.argv[1:2] in (["run"], ["compare"], ["selfcheck"], ["worker"]):
        import locust  # noqa: F401 - gevent's patch must come before anything that imports socket, ssl or threading
    if sys.argv[1:] == ["worker"]:  # started by a run with --processes, not by a person
        from loadtest.worker import main as worker

        return worker()
    from loadtest.cli import main as cli

    return cli(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
