"""Free ports of loopback, no two of them the same in all the tests that run on this machine."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path

# Below those that the kernel gives to whoever asks for port 0 or connects to somewhere (32768 and more on Linux):
# a port that is free now must still be free when the program under test opens it.
FIRST, LAST = 20_000, 32_000
_TRIES = 1_000
# Held until this process ends, so that no other test process is given the same.
_held: dict[int, int] = {}


def free_port(together: int = 1) -> int:
    """A port that nothing listens on, ours until this process ends; with `together`, the first of so many in a row."""
    for _ in range(_TRIES):
        first = random.randrange(FIRST, LAST - together + 1)
        ports = range(first, first + together)
        if all(_take(port) for port in ports):
            return first
    raise AssertionError(f"no free port between {FIRST} and {LAST} in {_TRIES} tries")


def _take(port: int) -> bool:
    if port in _held:
        return False
    folder = Path(tempfile.gettempdir()) / f"fullbatch-test-ports-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    held = os.open(folder / str(port), os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
    except OSError:
        os.close(held)
        return False
    _held[port] = held
    return True
