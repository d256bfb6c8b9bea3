"""Ends an engine whose structured output the gateway finds stuck, so that whatever restarts it does.

The gateway sees it and says so in `/health`; it restarts nothing itself, since for that it would have to hold Docker's
socket or another's processes. Who does is beside the engine and may do no more than end it: in a container its health
check, `python3 stuck.py …`, as the engine's own user, and Docker's restart policy starts it again; as a process
`runtime.process.keeper`. Needs the standard library alone, so that the engine's own image can run it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Collection
from datetime import datetime
from pathlib import Path
from typing import Any

# Seconds. What compiles for less, beyond the gateway's own waiting (20 s), ends by itself and costs no answers.
AFTER_S = 60.0
# An engine that has run for less is left alone: who can make it stick must not be able to keep it from running.
NOT_BEFORE_S = 600.0
# A health check has 5 s in all.
ASK_GATEWAY_S, ASK_ENGINE_S = 1.0, 3.0
INIT = 1  # of a container: Docker's own, which hands SIGTERM on and ends with the engine
STATE = Path("/tmp/fullbatch-ending")
_ASK = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


def since(page: Any, now: float, service: str = "", addresses: Collection[str] = ()) -> float:
    """For how many seconds structured output has been stuck; 0 where it is not, or the page does not say.

    ``page``: the gateway's /health, parsed. Meant is the engine called ``service``, or the one at one of ``addresses``.
    """
    try:
        entries = [(engine["name"], one) for engine in page["engines"] for one in engine.get("stuck", ())]
        ours = [one for name, one in entries if (name == service if service else one.get("address") in addresses)]
        return max((now - datetime.fromisoformat(one["since"]).timestamp() for one in ours), default=0.0)
    except (KeyError, TypeError, ValueError, AttributeError):
        return 0.0


def health(url: str) -> Any:
    """The gateway's /health, parsed; None when it does not answer. A 503 has a page too."""
    try:
        with _ASK(url, timeout=ASK_GATEWAY_S) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        with error, contextlib.suppress(OSError, ValueError):
            return json.load(error)
    except (OSError, ValueError):
        pass
    return None


class Container:
    """The engine's own container, from inside. ``grace``: seconds that it may take to end."""

    def __init__(self, grace: float, state: Path = STATE, kill: Callable[[int, int], None] = os.kill) -> None:
        self._grace = grace
        self._state = state
        self._kill = kill

    def end(self, stuck: float, running: float) -> str:
        """Have the engine end if it is due; what was done. Called every few seconds, and never waits."""
        now = time.time()
        try:
            asked = float(self._state.read_text())
        except (OSError, ValueError):
            asked = 0.0
        if asked and now - asked > self._grace:
            self._kill(-1, signal.SIGKILL)  # all but the first process, which ends with them, and this one
            return "it did not end, and is killed"
        if asked:
            return "it is ending"
        if stuck < AFTER_S or running < NOT_BEFORE_S:
            return ""
        self._state.write_text(f"{now}")
        self._kill(INIT, signal.SIGTERM)
        return f"structured output has been stuck for {stuck:.0f} s: the engine ends here, and is started again"


def running() -> float:
    """Seconds since this container's first process began."""
    ticks = int(Path(f"/proc/{INIT}/stat").read_text().rpartition(")")[2].split()[19])
    up = float(Path("/proc/uptime").read_text().split()[0])
    return up - ticks / os.sysconf("SC_CLK_TCK")


def main(argv: list[str] | None = None) -> int:
    """A health check: 0 when the engine answers and does not end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", required=True, metavar="URL", help="the engine's /health")
    parser.add_argument("--gateway", required=True, metavar="URL", help="the gateway's /health, with addresses")
    parser.add_argument("--port", type=int, required=True, help="the engine's")
    parser.add_argument("--grace", type=float, required=True, metavar="SECONDS", help="that the engine may take to end")
    options = parser.parse_args(argv)
    with contextlib.suppress(OSError):  # of the network's names: then nothing is found, and nothing done
        mine = {f"{address}:{options.port}" for address in socket.gethostbyname_ex(socket.gethostname())[2]}
        stuck = since(health(options.gateway), time.time(), addresses=mine)
        if done := Container(options.grace).end(stuck, running()):
            sys.stdout.write(f"{done}\n")
            return 1
    try:
        with _ASK(options.engine, timeout=ASK_ENGINE_S):
            return 0
    except OSError as error:
        sys.stdout.write(f"{error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
