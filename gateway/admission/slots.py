"""The small things that admission works with: a ticket for the queue, a slot on an engine, a measure of its pace."""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType
from typing import Protocol

from gateway.core.call import Call, Principal, Usage
from gateway.core.errors import GatewayError, NoEngineUp
from gateway.engines.kv_occupancy import Hold
from gateway.engines.replica import Replica

# The pace is measured over this time, and at most so many departures.
PACE_S = 10.0
_PACE_COUNT = 512


class Engines(Protocol):
    """What admission asks of the engines."""

    def limit(self, model: str) -> int:
        """Requests that may be at the engines that serve the model and are up; 0 if there are none."""

    def reserve(self, model: str) -> int:
        """How many of them are kept for keys that have few."""

    def has_room(self, model: str, whole: bool) -> bool:
        """Whether one of them has room for the smallest request. ``whole``: the reserve counts too."""

    def choose(self, call: Call, whole: bool = True) -> Replica | None:
        """An engine with room for this request; None if there is none. ``whole``: it may take of the reserve."""

    def refusal(self, call: Call) -> GatewayError | None:
        """What a request has to be told though engines that serve its model are up."""

    def waited_for(self, model: str) -> bool:
        """Whether an engine that serves the model stands still, nobody can stand in for it, and it may come back."""

    def none_up(self, model: str) -> NoEngineUp:
        """What to tell somebody while no engine that serves the model is up."""


class SlotOwner(Protocol):
    """Who gave a slot out."""

    def left(self, slot: Slot, usage: Usage | None) -> None: ...

    def moved(self, slot: Slot, engine: Replica) -> None: ...


class Ticket:
    """A request that wants a slot. ``position``: in the queue when it came, 1 is next; 0 did not wait."""

    __slots__ = ("_granted", "call", "position", "who")

    def __init__(self, who: Principal, call: Call) -> None:
        self.who = who
        self.call = call
        self.position = 0
        self._granted: asyncio.Future[Slot] | None = None

    def wait(self) -> asyncio.Future[Slot]:
        """What will have the slot, or the refusal."""
        self._granted = asyncio.get_running_loop().create_future()
        return self._granted

    @property
    def gone(self) -> bool:
        """Nobody waits for it any more: its client left in this very turn of the loop."""
        return self._granted is None or self._granted.done()

    def grant(self, slot: Slot) -> None:
        """To be called unless it is gone."""
        if self._granted is not None:
            self._granted.set_result(slot)

    def refuse(self, error: GatewayError) -> None:
        if self._granted is not None and not self._granted.done():
            self._granted.set_exception(error)


class Slot:
    """A slot on an engine. ``waited``: seconds in the queue; ``hold``: what it is expected to need."""

    __slots__ = ("_owner", "engine", "hold", "ticket", "usage", "waited")

    def __init__(self, owner: SlotOwner, ticket: Ticket, engine: Replica, hold: Hold, waited: float) -> None:
        self._owner: SlotOwner | None = owner
        self.ticket = ticket
        self.engine = engine
        self.hold = hold
        self.waited = waited
        self.usage: Usage | None = None

    def move(self, engine: Replica) -> None:
        """The request goes to another engine."""
        if self._owner is not None:
            self._owner.moved(self, engine)

    def release(self, usage: Usage | None) -> None:
        """Give it back; a second call does nothing. ``usage``: None if no engine had the request."""
        owner, self._owner = self._owner, None
        if owner is not None:
            owner.left(self, usage)

    def __enter__(self) -> Slot:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release(self.usage)


class Drain:
    """How many leave a second, over the last seconds."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=_PACE_COUNT)

    def left(self, now: float) -> None:
        self._times.append(now)

    def rate(self, now: float) -> float:
        """Departures a second; 0 while there was none."""
        while self._times and self._times[0] < now - PACE_S:
            self._times.popleft()
        if not self._times:
            return 0.0
        return len(self._times) / max(now - self._times[0], 1.0)
