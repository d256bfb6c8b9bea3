"""The launcher of some cards as a process: its file, its socket and its command."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from fullbatch.planning.plan import Plan
from fullbatch.runtime import launcher_file
from fullbatch.runtime.launcher_file import Launched
from fullbatch.runtime.port_check import LOOPBACK
from fullbatch.runtime.process import sockets, state
from fullbatch.runtime.process.state import ProcessRun, Started

# Until a launcher has started and found what runs.
_ADOPTING_S = 30.0


def socket_paths(plan: Plan, folder: str) -> dict[str, str]:
    """Where launchers are asked, by card; `folder`: of the sockets."""
    return {card: f"{folder}/{launcher_file.service(card)}.sock" for card in plan.turning}


def listen(url: str) -> dict[str, Any]:
    """Where an engine answers, in the launcher's words."""
    if path := sockets.path_of(url):
        return {"uds": path}
    return {"host": LOOPBACK, "port": int(url.rpartition(":")[2])}


def end_what_is_left(root: Path, known: ProcessRun, patience: float) -> None:
    """End the engines of a launcher that has died: they outlive it on purpose, and another one takes them over.

    `patience`: seconds that they may take to end.
    """
    for started in known.processes:
        file = state.run_dir(root, known.profile) / f"{started.name}.json"
        if not _is_launcher(started) or not file.exists() or not _held(file.with_suffix("")):
            continue
        with Path(started.log).open("ab") as log:
            child = subprocess.Popen(_command(file), cwd=root, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        path, deadline = json.loads(file.read_text(encoding="utf-8"))["socket"], time.monotonic() + _ADOPTING_S
        # It listens once it has taken over what runs; told before that, it would leave it.
        while child.poll() is None and not _answers(path) and time.monotonic() < deadline:
            time.sleep(0.1)
        child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(patience)
        child.kill()
        child.wait()


def engines(root: Path, known: ProcessRun) -> list[Started]:
    """What launchers have started, asleep or awake, by what they have written down."""
    ticks = os.sysconf("SC_CLK_TCK")
    found = []
    for folder in (state.run_dir(root, known.profile) / one.name for one in known.processes if _is_launcher(one)):
        for name, line in _held(folder).items():
            created = psutil.boot_time() + line["started"] / ticks
            found.append(Started(name, line["pid"], created, str(folder / f"{name}.log")))
    return [one for one in found if one.process()]


def _is_launcher(started: Started) -> bool:
    return started.name.startswith("launcher-")


def _held(folder: Path) -> dict[str, Any]:
    """The engines that a launcher has, or has left behind, each with number and start of its process."""
    try:
        held: dict[str, Any] = json.loads((folder / "running.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return held


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as asked:
        return asked.connect_ex(path) == 0


def _command(file: Path) -> list[str]:
    return [sys.executable, "-m", "launcher", str(file)]


def command(directory: Path, plan: Plan, card: str, path: str, launched: Sequence[Launched]) -> list[str]:
    """The launcher's command, its file written into `directory`, where it keeps what it has started, and their logs.

    `path`: of its socket.
    """
    name, engines = launcher_file.service(card), plan.turning[card]
    # Beside an engine that is always there the card is never empty.
    beside = any(one.card_ids == engines[0].card_ids for one in plan.always)
    more: dict[str, Any] = {"folder": str(directory / name)}
    more |= {} if beside else launcher_file.memory(engines, ",".join(map(str, engines[0].card_ids)))
    file = directory / f"{name}.json"
    file.write_text(launcher_file.text(card, path, launched, plan.drain_seconds, more), encoding="utf-8")
    return _command(file)
