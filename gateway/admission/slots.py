"""The small things that admission works with: a slot on an engine, and a measure of the pace of those that end."""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict, deque
from functools import partial
from types import TracebackType
from typing import Protocol

from gateway.core.call import Call
from gateway.core.cost import cost
from gateway.core.errors import GatewayError, NoEngineUp
from gateway.core.record import RequestRecord
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

    def spill(self, call: Call, key: str, waited: float) -> Replica | None:
        """A server that is not ours, if a request of this key that has waited so long may leave for it now."""

    def refusal(self, call: Call) -> GatewayError | None:
        """What a request has to be told though engines that serve its model are up."""

    def waited_for(self, model: str) -> bool:
        """Whether an engine that serves the model stands still, nobody can stand in for it, and it may come back."""

    def away(self, model: str) -> bool:
        """Whether the model takes turns with others on a card and is not loaded, or on its way out."""

    def none_up(self, model: str) -> NoEngineUp:
        """What to tell somebody while no engine that serves the model is up."""


class SlotOwner(Protocol):
    """Who gave a slot out."""

    def left(self, slot: Slot) -> None: ...

    def moved(self, slot: Slot, engine: Replica) -> None: ...


class Slot(Hold):
    """A request's place on an engine: asked for, perhaps waited for, held, given back. ``engine``: once it has one."""

    __slots__ = ("_granted", "_owner", "engine", "record")

    def __init__(self, owner: SlotOwner, record: RequestRecord) -> None:
        call = record.call
        prompt, output = call.prompt_tokens, call.expected_output
        most = math.inf if call.output_tokens is None else float(call.output_tokens)
        Hold.__init__(self, prompt, output, most, cost(prompt, output), 0.0)  # super() makes an object for each request
        self.unread = float(prompt) if call.stream else 0.0
        self.record = record
        self.engine: Replica
        self._owner: SlotOwner | None = owner
        self._granted: asyncio.Future[None] | None = None

    def wait(self) -> asyncio.Future[None]:
        """Done when it has an engine, or ended by the refusal."""
        self._granted = asyncio.get_running_loop().create_future()
        return self._granted

    @property
    def gone(self) -> bool:
        """Nobody waits for it any more: its client left in this very turn of the loop."""
        return self._granted is None or self._granted.done()

    def grant(self) -> None:
        """Tell who waits; to be called unless it is gone."""
        if self._granted is not None:
            self._granted.set_result(None)

    def refuse(self, error: GatewayError) -> None:
        if self._granted is not None and not self._granted.done():
            self._granted.set_exception(error)

    def move(self, engine: Replica) -> None:
        """The request goes to another engine."""
        if self._owner is not None:
            self._owner.moved(self, engine)

    def __enter__(self) -> Slot:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()

    def release(self) -> None:
        """Give it back, with what the record says was used; a second call does nothing."""
        owner, self._owner = self._owner, None
        if owner is not None:
            owner.left(self)


class Drains:
    """How many requests for each model leave the engines a second, over the last seconds."""

    def __init__(self) -> None:
        self._times: defaultdict[str, deque[float]] = defaultdict(partial(deque[float], maxlen=_PACE_COUNT))

    def left(self, model: str, now: float) -> None:
        """One has."""
        self._times[model].append(now)

    def rate(self, model: str, now: float) -> float:
        """Departures a second; 0 while there was none."""
        times = self._times.get(model)
        while times and times[0] < now - PACE_S:
            times.popleft()
        return len(times) / max(now - times[0], 1.0) if times else 0.0
