"""Stops processes: asks them first, kills them if that takes too long."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from fullbatch.planning.flags import DRAIN_SECONDS
from fullbatch.runtime.base import Say
from fullbatch.runtime.process import launching, sockets, state
from fullbatch.runtime.process.state import ProcessRun, Started

# vLLM ends its children itself; what is left after this many seconds is killed.
KILL_AFTER_SECONDS = 5.0
POLL_SECONDS = 0.1


def stop(root: Path, known: ProcessRun, say: Say, patience: float | None = None) -> None:
    """End every process of `known` with its children: the gateway, and then all engines at once.

    `patience`: seconds until what does not go is killed; None: what its engines may take, and a little more.
    A second Ctrl-C ends the waiting: what is left is killed at once, and KeyboardInterrupt goes on.
    """
    if patience is None:
        patience = (known.facts.drain_seconds if known.facts else DRAIN_SECONDS) + KILL_AFTER_SECONDS
    again: KeyboardInterrupt | None = None
    if state.read(root, known.profile):
        state.write(root, dataclasses.replace(known, stopping=True))
    for is_gateway in (True, False):
        living = [one for one in known.processes if (one.name == "gateway") == is_gateway and one.session()]
        for started in living:
            say(f"stopping the {started.name} ({started.pid})")
        try:
            _stop_all(living, 0.0 if again else patience)
        except KeyboardInterrupt as second:
            again = second
    launching.end_what_is_left(root, known, patience)
    state.forget(root, known.profile)
    sockets.remove(known.sockets)
    if again:
        raise again


def _stop_all(group: Sequence[Started], patience: float) -> None:
    """Told all at once: eight engines that need half a minute each are gone after half a minute."""
    try:
        for started in group:
            leader = started.process()
            if leader is not None:
                with contextlib.suppress(psutil.NoSuchProcess):
                    leader.terminate()
        _wait_while(lambda: any(started.process() for started in group), patience)
        _wait_while(lambda: any(started.session() for started in group), min(patience, KILL_AFTER_SECONDS))
    finally:
        for survivor in [process for started in group for process in started.session()]:
            with contextlib.suppress(psutil.NoSuchProcess):
                survivor.kill()
        _wait_while(lambda: any(started.session() for started in group), KILL_AFTER_SECONDS)


def _wait_while(living: Callable[[], object], patience: float) -> None:
    # psutil's own waiting takes a zombie for alive, and in a container whose first process reaps nobody it stays one.
    deadline = time.monotonic() + patience
    while living() and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
