"""``python -m fullbatch.runtime.process.keeper … -- vllm serve …``: an engine, started again when stuck.

Only then: an engine that ends by itself ends its keeper with the same exit code, so that `status` finds it dead and its
log says why. It asks the gateway's /health, which says whether structured output is stuck, and holds nothing else.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

import psutil

from fullbatch.runtime import stuck

POLL_S = 5.0


class Keeper:
    """One engine. ``look``: for how many seconds it has been stuck. ``grace``: seconds that it may take to end."""

    def __init__(self, command: Sequence[str], look: Callable[[], float], grace: float) -> None:
        self._command = list(command)
        self._look = look
        self._grace = grace
        self._asked_to_end = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None

    def run(self, poll: float = POLL_S, after: float = stuck.AFTER_S, not_before: float = stuck.NOT_BEFORE_S) -> int:
        """Until the engine has ended by itself, or was told to; its exit code. Times in seconds."""
        while True:
            self._child = child = subprocess.Popen(self._command)
            began = time.monotonic()
            if self._asked_to_end.is_set():  # between the two
                child.terminate()
            while (code := _waited(child, poll)) is None:
                seconds = self._look()
                if seconds >= after and time.monotonic() - began >= not_before and not self._asked_to_end.is_set():
                    sys.stdout.write(f"fullbatch: structured output stuck for {seconds:.0f} s: restarting the engine\n")
                    sys.stdout.flush()
                    self._end(child)
                    break
            else:
                return code if code >= 0 else 128 - code
            if self._asked_to_end.is_set():
                return 0

    def stop(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """A handler of SIGTERM: the engine ends, and is not started again."""
        self._asked_to_end.set()
        if self._child is not None:
            self._child.terminate()

    def _end(self, child: subprocess.Popen[bytes]) -> None:
        """With all that it has started: a worker that lives on would hold the card."""
        family: list[psutil.Process] = []
        with contextlib.suppress(psutil.Error):
            family = psutil.Process(child.pid).children(recursive=True)
        child.terminate()
        if _waited(child, self._grace) is None:
            child.kill()
            child.wait()
        for one in psutil.wait_procs(family, timeout=5)[1]:
            with contextlib.suppress(psutil.Error):
                one.kill()
        for option, path in zip(self._command, self._command[1:], strict=False):
            if option == "--uds":  # vLLM does not listen where a socket of before lies
                Path(path).unlink(missing_ok=True)


def _waited(child: subprocess.Popen[bytes], seconds: float) -> int | None:
    try:
        return child.wait(seconds)
    except subprocess.TimeoutExpired:
        return None


def main() -> int:
    """The module's own command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gateway", required=True, metavar="URL", help="the gateway's /health")
    parser.add_argument("--engine", required=True, metavar="NAME", help="as the gateway calls it")
    parser.add_argument("--grace", type=float, required=True, metavar="SECONDS", help="that the engine may take to end")
    parser.add_argument("--poll", type=float, default=POLL_S, metavar="SECONDS", help="between two looks")
    parser.add_argument("--after", type=float, default=stuck.AFTER_S, metavar="SECONDS", help="that it may be stuck")
    parser.add_argument(
        "--not-before", type=float, default=stuck.NOT_BEFORE_S, metavar="SECONDS", help="that it has to have run"
    )
    parser.add_argument("command", nargs="+", help="the engine's own, after --")
    options = parser.parse_args()

    def look() -> float:
        return stuck.since(stuck.health(options.gateway), time.time(), options.engine)

    keeper = Keeper(options.command, look, options.grace)
    signal.signal(signal.SIGTERM, keeper.stop)
    signal.signal(signal.SIGINT, keeper.stop)
    return keeper.run(options.poll, options.after, options.not_before)


if __name__ == "__main__":
    sys.exit(main())
