"""Brings an admitted request to an engine; to another one only while nobody can have seen the whole request."""

from __future__ import annotations

from gateway.access_log import Visit
from gateway.address import Address
from gateway.backends import Backends
from gateway.errors import EngineBroken
from gateway.metrics import Metrics
from gateway.places import Place
from gateway.proxy import Exchange, Job, Outcome
from gateway.reply import Reply


class Dispatch:
    """Sends, and sends again within bounds."""

    def __init__(self, backends: Backends, exchange: Exchange, metrics: Metrics) -> None:
        self._backends = backends
        self._exchange = exchange
        self._metrics = metrics

    async def run(self, place: Place, job: Job, reply: Reply, visit: Visit) -> Outcome:
        """Relay the answer to ``reply``.

        Raises:
            EngineBroken, EngineSilent, Overloaded, NoEngineUp: nothing has been written to ``reply``.
        """
        tried: list[Address] = []
        while True:
            address = place.engine
            visit.engine = address.engine.name
            try:
                return await self._exchange.run(address.target, job, reply)
            except EngineBroken as error:
                if not error.unsent:
                    raise
                self._backends.failed(address, error.message)
                tried.append(address)
                other = self._backends.choose(job.call, tried)
                if other is None:
                    raise self._backends.none_up(job.call.model) from None
                self._metrics.retried(address.engine.name)
                place.move(other)
