"""``python -m bench.loadtest.truth``: what is reported beside what the fake engine knows, at several loads and readers.

Needs the development environment. The fake engine has known delays (100 ms to the first token, then its own pace) and
notes when it read each request and wrote each token. Client and engine are pinned to cores of their own unless
`--share-cores` says otherwise; with several `--processes` the client's share theirs. Takes about 8 s a load.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from loadtest.analysis.selfcheck_result import SelfCheck
from loadtest.selfcheck.compare_clocks import text

_ROOT = Path(__file__).parents[2]
_TTFT_MS = 100
_SECONDS = 5.0


@contextmanager
def fake_engine(tokens_per_s: float, cores: Sequence[int] | None) -> Iterator[str]:
    """The address of a fake engine that lets every request run at once."""
    command = [sys.executable, "-m", "tests.fakes.engine", "--port", "0", "--max-num-seqs", "1024"]
    command += ["--ttft-ms", str(_TTFT_MS), "--itl-ms", str(1000 / tokens_per_s)]
    process = subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        if cores:
            os.sched_setaffinity(process.pid, cores)
        url = process.stdout.readline().removeprefix("listening on ").strip()
        _wait_for(url)
        yield url
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


def _wait_for(url: str) -> None:
    for _ in range(500):
        try:
            urllib.request.urlopen(f"{url}/health", timeout=2).close()
            return
        except OSError:
            time.sleep(0.02)
    raise RuntimeError(f"{url} does not answer")


def measured(users: int, tokens_per_s: float, processes: int, apart: bool) -> SelfCheck:
    """One load, as the self check measures it. `apart`: the engine on the first core, the client on the others."""
    from loadtest.selfcheck.check import CheckLoad, measure

    cores = sorted(os.sched_getaffinity(0))
    if apart:
        os.sched_setaffinity(0, cores[1:])
    try:
        with fake_engine(tokens_per_s, cores[:1] if apart else None) as url:
            return measure(url, f"{url}/fake/truth", CheckLoad(users, tokens_per_s, _SECONDS, processes), model="tiny")
    finally:
        os.sched_setaffinity(0, cores)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints one block for each load; the exit code says whether all were within the bar."""
    parser = argparse.ArgumentParser(prog="python -m bench.loadtest.truth", description="Reported beside true times.")
    parser.add_argument("--users", default="1,10,50", help="streams at once, one load for each (default 1,10,50)")
    parser.add_argument("--tokens-per-s", type=float, default=50.0, help="of each stream (default 50)")
    parser.add_argument("--processes", type=int, default=1, help="client processes (default 1)")
    parser.add_argument("--repeats", type=int, default=1, help="of each load (default 1)")
    parser.add_argument("--share-cores", action="store_true", help="do not pin client and engine to cores of their own")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args(arguments)
    good = True
    for users in (int(part) for part in options.users.split(",")):
        for _ in range(options.repeats):
            found = measured(users, options.tokens_per_s, options.processes, not options.share_cores)
            good = good and found.ok
            sys.stdout.write((found.model_dump_json() if options.json else text(found) + "\n") + "\n")
            sys.stdout.flush()
    return 0 if good else 1


if __name__ == "__main__":
    import locust  # noqa: F401 - gevent's patch must come before anything that opens a socket

    sys.exit(main())
