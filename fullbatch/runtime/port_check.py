"""Checks the ports of a deployment: whether each is free, and who holds it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from fullbatch.core import host
from fullbatch.core.check_result import CheckResult, fail, ok, warn
from fullbatch.runtime.base import Held

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class PortWanted:
    """A port of loopback, what it is for, and what to do when it is taken."""

    purpose: str
    number: int
    fix: str


def judge(wanted: Sequence[PortWanted], held: Held) -> list[CheckResult]:
    """Each port, and who holds it."""
    return [_judge(one, held) for one in wanted]


def _judge(wanted: PortWanted, held: Held) -> CheckResult:
    holder = host.port_holder(LOOPBACK, wanted.number)
    if holder is None:
        return ok("port", f"{wanted.number} is free for {wanted.purpose}")
    pid = re.match(r"process (\d+)", holder)
    # The process behind a published port is Docker's own.
    profile = held.published.get(wanted.number) or (held.processes.get(int(pid[1])) if pid else None)
    said = f"{wanted.number} ({wanted.purpose}) is held by"
    if profile:
        return warn("port", f"{said} your running profile '{profile}'", f"fullbatch down {profile}")
    return fail("port", f"{said} {holder}", f"stop it, or {wanted.fix}")
