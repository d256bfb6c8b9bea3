"""Brings an admitted request to an engine; to another one only where none can have worked on it, and within a budget.

Sent to another engine, only ever before the first byte of an answer (`EngineBroken.how`):

``unsent``    the connection failed, or broke before the whole request had been written. As often as there are engines.
``declined``  vLLM's 500 with `proxy.DRAINING`: it is ending, and refuses before it tokenises. No engine has begun with
              it, so a second one does it for the first time. Once.
``stale``     a kept connection was closed without a byte of an answer: it was closing when the request was sent. Once;
              on a new connection to the same engine where there is no other.
``silent``    the same on a fresh connection, from an engine that is known to be going by then. Once.

Not sent again: any other 5xx, a connection that breaks while the engine works, a frozen engine. The request may be
what broke it, and would break the next one.
"""

from __future__ import annotations

import asyncio

from gateway.access_log import Visit
from gateway.address import Address
from gateway.backends import Backends
from gateway.errors import EngineBroken, EngineSilent, GatewayError
from gateway.metrics import Metrics
from gateway.places import Place
from gateway.proxy import Exchange
from gateway.relay import Job, Outcome
from gateway.reply import Reply
from gateway.retry import RetryBudget


class Dispatch:
    """Sends, and sends again within bounds."""

    def __init__(
        self,
        backends: Backends,
        exchange: Exchange,
        metrics: Metrics,
        budget: RetryBudget,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._backends = backends
        self._exchange = exchange
        self._metrics = metrics
        self._budget = budget
        self._loop = loop

    async def run(self, place: Place, job: Job, reply: Reply, visit: Visit) -> Outcome:
        """Relay the answer to ``reply``.

        Raises:
            EngineBroken, EngineSilent, Overloaded, NoEngineUp: nothing has been written to ``reply``.
        """
        tried: list[Address] = []
        again = False
        self._budget.request(self._loop.time())
        while True:
            address = place.engine
            visit.engine = address.engine.name
            try:
                outcome = await self._exchange.run(address.target, job, reply)
            except EngineBroken as error:
                going = not address.breaker.closed
                self._backends.failed(address, error)
                if error.how != "unsent":
                    if again or not (error.how in ("declined", "stale") or (error.how == "silent" and going)):
                        raise
                    again = True
                tried.append(address)
                place.move(self._another(error, job, tried))
                self._metrics.retried(address.engine.name)
            except EngineSilent as error:
                self._backends.failed(address, error)
                raise
            else:
                self._judge(address, outcome)
                return outcome

    def _judge(self, address: Address, outcome: Outcome) -> None:
        if outcome == "ok":
            address.breaker.succeeded()
        elif outcome in ("cut", "engine_error", "engine_timeout"):
            self._backends.failed(address, EngineBroken(f"an answer of {address.target.label} broke off ({outcome})"))

    def _another(self, error: EngineBroken, job: Job, tried: list[Address]) -> Address:
        """Raises: the error to end with, if there is no other engine or the budget is used up."""
        other = self._backends.another(job.call, tried)
        if other is None and error.how == "stale":
            other = tried[-1]
        if other is None:
            ending: GatewayError = error
            if error.how in ("unsent", "declined"):
                ending = self._backends.none_up(job.call.model)
            raise ending from None
        if not self._budget.take(self._loop.time()):
            raise error
        return other
