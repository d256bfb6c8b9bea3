"""The protocol between client processes: Python objects over pipes. Both ends are this program's own.

The first to speak is the run: it tells each worker whom to ask (`SideLoads`), then a `RunStage` for each stage. The
worker says how far it is, the run lets all go at one moment, and the worker's requests come back whole, as they end.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import IO, Any

from loadtest.analysis.client_health import Pace
from loadtest.client.record import Record
from loadtest.runner.stage import StageWork
from loadtest.workload.arrivals import StagePlan

_LENGTH = struct.Struct("!Q")


class Phase(IntEnum):
    """How far a worker is in its stage."""

    WARMING = 0
    WARM = 1
    READY = 2
    OVER = 3


@dataclass(frozen=True, slots=True)
class RunStage:
    """To a worker: its share of a stage."""

    plan: StagePlan
    work: StageWork


@dataclass(frozen=True, slots=True)
class Connect:
    """To a worker: all are warm everywhere; check the connections."""


@dataclass(frozen=True, slots=True)
class Release:
    """To a worker: let your users go at this moment (perf_counter_ns, one clock for all processes of a machine)."""

    at: int


@dataclass(frozen=True, slots=True)
class Stop:
    """To a worker: end the stage; what is there is kept."""


@dataclass(frozen=True, slots=True)
class Ended:
    """From a worker, after all its requests: how its stage came out."""

    at: int
    complete: bool
    pace: Pace
    warmups: Sequence[Record]


def packed(message: object) -> bytes:
    body = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(body)) + body


def receive(stream: IO[bytes]) -> Any:
    """The next message; None when the other side has ended."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    body = stream.read(length)
    return pickle.loads(body) if len(body) == length else None
