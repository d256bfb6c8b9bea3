"""The launcher of some cards as a process: its file, its socket and its command."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fullbatch.planning.plan import Plan
from fullbatch.runtime import launcher_file
from fullbatch.runtime.launcher_file import Launched
from fullbatch.runtime.port_check import LOOPBACK
from fullbatch.runtime.process import sockets


def socket_paths(plan: Plan, folder: str) -> dict[str, str]:
    """Where launchers are asked, by card; `folder`: of the sockets."""
    return {card: f"{folder}/{launcher_file.service(card)}.sock" for card in plan.turning}


def listen(url: str) -> dict[str, Any]:
    """Where an engine answers, in the launcher's words."""
    if path := sockets.path_of(url):
        return {"uds": path}
    return {"host": LOOPBACK, "port": int(url.rpartition(":")[2])}


def command(directory: Path, plan: Plan, card: str, socket: str, launched: Sequence[Launched]) -> list[str]:
    """The launcher's command, its file written into `directory`, where it keeps what it has started, and their logs."""
    name, engines = launcher_file.service(card), plan.turning[card]
    # Beside an engine that is always there the card is never empty.
    beside = any(one.card_ids == engines[0].card_ids for one in plan.always)
    more: dict[str, Any] = {"folder": str(directory / name)}
    more |= {} if beside else launcher_file.memory(engines, ",".join(map(str, engines[0].card_ids)))
    file = directory / f"{name}.json"
    file.write_text(launcher_file.text(card, socket, launched, plan.drain_seconds, more), encoding="utf-8")
    return [sys.executable, "-m", "launcher", str(file)]
