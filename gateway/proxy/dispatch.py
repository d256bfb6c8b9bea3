"""Brings an admitted request to an engine; to another one only where none can have worked on it, and within a budget.

Sent again, only ever before the first byte of an answer (`EngineBroken.how`):

``stale``     a kept connection was lost within `client.STALE_S` of sending, without a byte: it was closing. To the
              same engine, on a new connection, so that it shows whether the process is there. Costs no budget: nothing
              has been done yet.
``unread``    the same, and its kernel has not given the request to the engine: as when a process ends by itself.
``unsent``    the connection failed, or broke before the whole request had been written. To another engine, as often as
              there are engines; not after ``stale``, for then the request may be what has ended the process.
``declined``  vLLM's 500 with `relay.DRAINING`: it is ending, and refuses before it tokenises. No engine has begun
              with it, so a second one does it for the first time. Once.
``FarRefused``  another box's gateway takes nothing, or went before it had answered a byte: its engines' faults it would
              have told. To another engine, and where there is none it waits here again (`handler`).
``EngineFull``  its own queue is full, it has not begun. To another engine, as often as there are engines.
``silent``    lost without a byte by an engine that has said by then that it is ending. To another engine, once.

Not sent again: any other 5xx, a connection that breaks while the engine works, a frozen engine. The request may be
what broke it, and would break the next one.
"""

from __future__ import annotations

import asyncio

from gateway.admission.slots import Slot
from gateway.core.call import Call
from gateway.core.errors import EngineBroken, EngineFull, EngineSilent, FarRefused, GatewayError
from gateway.dialects.base import Dialect
from gateway.engines.registry import EngineRegistry
from gateway.engines.replica import Replica
from gateway.http.reply import Reply
from gateway.proxy.exchange import Exchange
from gateway.proxy.relay import Outcome
from gateway.proxy.retry_budget import RetryBudget
from gateway.proxy.usage_meter import UsageMeter
from gateway.telemetry.metrics import Metrics


class Dispatch:
    """Sends, and sends again within bounds."""

    def __init__(
        self,
        registry: EngineRegistry,
        exchange: Exchange,
        metrics: Metrics,
        budget: RetryBudget,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._registry = registry
        self._exchange = exchange
        self._metrics = metrics
        self._budget = budget
        self._loop = loop

    async def run(self, slot: Slot, reply: Reply, dialect: Dialect, meter: UsageMeter) -> Outcome:
        """Relay the answer to ``reply``.

        Raises:
            EngineBroken, EngineSilent, Overloaded, NoEngineUp: nothing has been written to ``reply``.
        """
        record, call = slot.record, slot.record.call
        tried: list[Replica] = []
        again = fresh = had = False  # had: an engine may have had it that is not there any more
        self._budget.request(slot.began)
        while True:
            replica = slot.engine
            record.engine, record.address = replica.engine.name, replica.label
            if call.structured:
                replica.structured_at = self._loop.time()
            try:
                outcome = await self._exchange.run(slot, reply, dialect, meter, fresh)
            except EngineBroken as error:
                if error.how in ("stale", "unread"):  # a new connection is neither, so this happens once
                    fresh, had = True, error.how == "stale"
                    self._metrics.retried(replica.engine.name)
                    continue
                self._registry.failed(replica, error, call.structured)
                if error.how != "unsent" or had:
                    lost = error.how != "broken" and (replica.ending or replica.far)
                    if again or not (error.how == "declined" or lost):
                        raise
                    again = True
                self._move(error, slot, tried)
                fresh = False
            except EngineFull as error:
                self._move(error, slot, tried)
                fresh = False
            except EngineSilent as error:
                self._registry.failed(replica, error)
                raise
            else:
                self._judge(replica, outcome)
                return outcome

    def _judge(self, replica: Replica, outcome: Outcome) -> None:
        if outcome == "ok":
            replica.circuit_breaker.succeeded()
        elif outcome in ("cut", "engine_error", "engine_timeout"):
            self._registry.failed(replica, EngineBroken(f"an answer of {replica.target.label} broke off ({outcome})"))

    def _move(self, error: EngineBroken | EngineFull, slot: Slot, tried: list[Replica]) -> None:
        """Raises: the error to end with, if there is no other engine or the budget is used up."""
        failed = slot.engine
        if failed.far and isinstance(error, EngineFull):
            failed.refused()
        tried.append(failed)
        slot.move(self._another(error, slot.record.call, tried, failed.far))
        self._metrics.retried(failed.engine.name)

    def _another(self, error: EngineBroken | EngineFull, call: Call, tried: list[Replica], far: bool) -> Replica:
        other = self._registry.another(call, tried)
        if other is None:
            ending: GatewayError = error
            if far:
                raise FarRefused(error.message) from None
            if isinstance(error, EngineBroken) and error.how in ("unsent", "declined"):
                ending = self._registry.none_up(call.model)
            raise ending from None
        if not self._budget.take(self._loop.time()):
            raise error
        return other
