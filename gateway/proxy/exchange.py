"""One exchange with one engine: sends the request, and cancels it when the client has gone."""

from __future__ import annotations

import asyncio
from urllib.parse import quote

from gateway.admission.slots import Slot
from gateway.config.settings import Limits
from gateway.core.errors import EngineBroken, GatewayBusy
from gateway.core.ticker import Ticker
from gateway.dialects.base import Dialect
from gateway.engines import spilling
from gateway.engines.destination import Destination
from gateway.http.client import OWN_SHORTAGE, EngineConnection, why
from gateway.http.reply import Reply
from gateway.keys.users import HEADER as USER
from gateway.proxy.relay import Outcome, Relay, Surroundings
from gateway.proxy.usage_meter import UsageMeter
from gateway.telemetry.metrics import Metrics


class Exchange:
    """Sends requests and waits for the end of their answers."""

    def __init__(self, limits: Limits, metrics: Metrics, ticker: Ticker, loop: asyncio.AbstractEventLoop) -> None:
        self._around = Surroundings(limits, metrics, loop)
        self._ticker = ticker

    def use(self, limits: Limits) -> None:
        """Other limits for requests from now on."""
        self._around = Surroundings(limits, self._around.metrics, self._around.loop)

    async def run(self, slot: Slot, reply: Reply, dialect: Dialect, meter: UsageMeter, fresh: bool = False) -> Outcome:
        """Relay one answer of the slot's engine to ``reply``. Cancelling this closes the connection there at once.

        Args:
            fresh: on a new connection; those kept are closed, for one of them was closing and the others are as old.

        Raises:
            EngineBroken: nothing has been written to ``reply``; ``how`` says whether another engine may be asked.
            EngineSilent: nothing has been written to ``reply``.
            Overloaded: the engine's own queue is full.
        """
        replica = slot.engine
        target = replica.target
        if fresh:
            target.pool.close()
        connection = target.pool.take() or await self._connect(target)
        relay = Relay(reply, connection, slot, dialect, meter, self._around)
        self._ticker.add(relay)
        target.underway.add(relay)
        reply.source = relay
        try:
            record = reply.request
            if record.trace is not None:
                record.trace.sent = relay.began
            if replica.far:
                message = _to_another_box(slot, reply)
            else:
                body = record.call.body
                message = _head(target, record.call.path, record.id, len(body), record.trace_headers) + body
            connection.request(relay, message, relay.began)
            return await relay.done
        finally:
            reply.source = None
            self._ticker.discard(relay)
            target.ended(relay)
            connection.cancel(relay)

    async def _connect(self, target: Destination) -> EngineConnection:
        seconds = self._around.limits.connect_timeout_s
        try:
            return await target.pool.connect(seconds)
        except TimeoutError:
            raise EngineBroken(f"no connection to {target.label} within {seconds:g} s", how="unsent") from None
        except OSError as error:
            if error.errno in OWN_SHORTAGE:
                message = f"the gateway has no connection left to {target.label} ({why(error)}); try again in 1 s"
                raise GatewayBusy(message, retry_after=1) from None
            raise EngineBroken(f"no connection to {target.label}: {why(error)}", how="unsent") from None


def _head(target: Destination, path: bytes, request_id: str, length: int, trace: bytes) -> bytes:
    return (
        b"POST %b HTTP/1.1\r\nhost: %b\r\n%bcontent-type: application/json\r\naccept: */*\r\n"
        b"x-request-id: %b\r\n%bcontent-length: %d\r\n\r\n"
    ) % (path, target.host_header, target.extra, request_id.encode(), trace, length)


def _to_another_box(slot: Slot, reply: Reply) -> bytes:
    """What its gateway gets, with whose request it is at home: a trusted key's usage is told apart by it. Or what
    somebody else's server gets, which learns nothing of our traces and keys."""
    replica, request = slot.engine, reply.request
    call = request.call
    if replica.spills:
        body = spilling.body(call, replica)
        reply.extra += b"x-spilled-to: %b\r\n" % quote(replica.engine.name).encode()
        return _head(replica.target, call.path, request.id, len(body), b"") + body
    head = _head(replica.target, call.path, request.id, len(call.body), request.trace_headers)
    return b"%b%b: %b\r\n\r\n" % (head[:-2], USER, slot.record.principal.name.encode()) + call.body
