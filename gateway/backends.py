"""Model -> addresses of engines, and how each of them is, found out by asking them every second."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import orjson

from gateway import routing
from gateway.address import Address, State
from gateway.call import Call
from gateway.errors import NoEngineUp, UnknownModel
from gateway.settings import EngineSettings, Polling
from gateway.sweeper import Sweeper
from gateway.upstream import Pool

RETRY_AFTER_S: dict[State, int] = {"starting": 5, "down": 2, "up": 1}
# A busy engine may answer one poll late; a dead one answers none.
SILENT_POLLS_TO_DOWN = 2


@dataclass(frozen=True, slots=True)
class Health:
    """An engine as a whole: up if one of its addresses is."""

    name: str
    state: State
    since: float
    reason: str
    up: int
    addresses: int
    models: tuple[str, ...]


class Backends:
    """All engines. `start` begins the asking, `stop` ends it."""

    def __init__(
        self, engines: Sequence[EngineSettings], polling: Polling, sweeper: Sweeper, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.engines = engines
        self._models = {model: engine for engine in reversed(engines) for model in engine.models}
        self._polling = polling
        self._sweeper = sweeper
        self._loop = loop
        self._started = time.time()
        self._turn = 0
        self._addresses: dict[str, dict[str, Address]] = {engine.name: {} for engine in engines}
        self._no_address = {engine.name: "its name has not been looked up yet" for engine in engines}
        self._pollers: dict[Address, asyncio.Task[None]] = {}
        self._resolvers: dict[str, asyncio.Task[None]] = {}

    def start(self) -> None:
        tasks = {engine.name: self._loop.create_task(self._keep_resolving(engine)) for engine in self.engines}
        self._resolvers = tasks

    def stop(self) -> None:
        for task in (*self._resolvers.values(), *self._pollers.values()):
            task.cancel()
        for address in self.addresses():
            address.pool.close()

    def change(self, engines: Sequence[EngineSettings], polling: Polling) -> None:
        """Other engines from now on. One that is gone or different gets nothing more; what it has goes on."""
        self._polling = polling
        kept = [engine for engine in self.engines if engine in engines]
        for engine in (engine for engine in self.engines if engine not in kept):
            self._resolvers.pop(engine.name).cancel()
            self._replace(engine, set())
            del self._addresses[engine.name]
        self.engines = engines
        self._models = {model: engine for engine in reversed(engines) for model in engine.models}
        for engine in (engine for engine in engines if engine not in kept):
            self._addresses[engine.name] = {}
            self._no_address[engine.name] = "its name has not been looked up yet"
            self._resolvers[engine.name] = self._loop.create_task(self._keep_resolving(engine))

    def addresses(self) -> list[Address]:
        return [address for found in self._addresses.values() for address in found.values()]

    def models(self) -> dict[str, EngineSettings]:
        """Every configured model and the first engine that serves it."""
        return self._models

    def serving(self, model: str) -> list[Address]:
        """The addresses that serve a model now."""
        return [address for address in self.addresses() if model in address.models]

    def need(self, model: str) -> None:
        """Make sure that the model is served.

        Raises:
            UnknownModel: no engine is configured to serve it.
            NoEngineUp: none that serves it is up; says whether one is starting, and when to come back.
        """
        if self.serving(model):
            return
        known = self.models()
        if model not in known:
            names = ", ".join(f"'{name}'" for name in known)
            raise UnknownModel(f"no model '{model[:200]}' here; there are {names}", param="model")
        raise self.none_up(model)

    def capacity(self, model: str) -> tuple[int, int]:
        """Places on the addresses that serve the model now, and how many of them are taken."""
        serving = self.serving(model)
        return sum(address.limit for address in serving), sum(address.in_flight for address in serving)

    def choose(self, call: Call, but: Collection[Address] = ()) -> Address | None:
        """The best address with a free place; None if there is none. ``but``: not one of these."""
        free = [a for a in self.serving(call.model) if a.in_flight < a.limit and a not in but]
        if not free:
            return None
        self._turn += 1
        return free[routing.choose([each.in_flight for each in free], self._turn)]

    def none_up(self, model: str) -> NoEngineUp:
        """What to tell someone who asks for a model that nobody serves at the moment."""
        healths = [health for health in self.health() if model in health.models]
        states = [health.state for health in healths]
        state: State = "starting" if "starting" in states else "down"
        reasons = "; ".join(f"engine '{health.name}': {health.reason or health.state}" for health in healths)
        reasons = reasons or "no engine is configured for it any more"
        after = RETRY_AFTER_S[state]
        return NoEngineUp(f"model '{model}' is {state} ({reasons}); try again in {after} s", retry_after=after)

    def failed(self, address: Address, reason: str) -> None:
        """A request could not be brought there: out at once, until a poll finds it well again."""
        address.is_not_up(reason)

    def health(self) -> list[Health]:
        return [self._health(engine) for engine in self.engines]

    def _health(self, engine: EngineSettings) -> Health:
        found = list(self._addresses[engine.name].values())
        up = [address for address in found if address.state == "up"]
        if not found:
            reason = self._no_address[engine.name]
            return Health(engine.name, "starting", self._started, reason, 0, 0, engine.models)
        best = min(up or [a for a in found if a.state == "starting"] or found, key=lambda address: address.since)
        return Health(engine.name, best.state, best.since, best.reason, len(up), len(found), engine.models)

    async def _keep_resolving(self, engine: EngineSettings) -> None:
        while True:
            try:
                found = await self._loop.getaddrinfo(engine.host, engine.port, type=socket.SOCK_STREAM)
            except OSError as error:
                # Known addresses stay: polling judges them, and it checks that the model is still served there.
                self._no_address[engine.name] = f"host name '{engine.host}' is not known ({error.strerror})"
            else:
                self._replace(engine, {str(info[4][0]) for info in found})
            await asyncio.sleep(self._polling.resolve_interval_s)

    def _replace(self, engine: EngineSettings, hosts: set[str]) -> None:
        known = self._addresses[engine.name]
        for host in known.keys() - hosts:
            gone = known.pop(host)
            gone.is_not_up("no longer listed under its name")
            self._sweeper.discard(gone.pool)
            self._pollers.pop(gone).cancel()
            gone.pool.close()
        for host in hosts - known.keys():
            address = Address(engine, host, Pool(host, engine.port, self._loop))
            known[host] = address
            self._sweeper.add(address.pool)
            self._pollers[address] = self._loop.create_task(self._keep_polling(address))

    async def _keep_polling(self, address: Address) -> None:
        while True:
            await self._poll(address)
            await asyncio.sleep(self._polling.health_interval_s)

    async def _poll(self, address: Address) -> None:
        try:
            async with asyncio.timeout(self._polling.health_timeout_s):
                status, _ = await _get(address, b"/health")
                if status != 200:
                    address.is_not_up(f"its /health answers {status}")
                    return
                status, body = await _get(address, b"/v1/models")
        except TimeoutError:
            address.silent_polls += 1
            if address.state != "up" or address.silent_polls >= SILENT_POLLS_TO_DOWN:
                address.is_not_up("it does not answer")
            return
        except OSError as error:
            address.is_not_up((error.strerror or str(error)).lower())
            return
        served = _model_ids(body) & set(address.engine.models) if status == 200 else set()
        if served:
            address.is_up(served)
        else:
            address.is_not_up(f"it does not list {' or '.join(address.engine.models)} at /v1/models")


async def _get(address: Address, path: bytes) -> tuple[int, bytes]:
    """One GET.

    Raises:
        OSError: no connection, or it broke.
    """
    connection = address.pool.take() or await address.pool.connect(timeout_s=60)
    whole = _Whole()
    try:
        head = b"GET %b HTTP/1.1\r\nhost: %b\r\naccept: */*\r\n\r\n" % (path, address.target.host_header)
        connection.request(whole, head)
        return await whole.done
    finally:
        connection.cancel(whole)


class _Whole:
    """Collects a response."""

    def __init__(self) -> None:
        self.done: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
        self._status = 0
        self._body = b""

    def on_head(self, status: int, content_type: bytes, length: int | None) -> None:  # noqa: ARG002
        self._status = status

    def on_data(self, data: bytes) -> None:
        self._body += data

    def on_end(self) -> None:
        if not self.done.done():
            self.done.set_result((self._status, self._body))

    def on_lost(self, why: str, unsent: bool) -> None:  # noqa: ARG002
        if not self.done.done():
            self.done.set_exception(ConnectionError(f"it {why}"))


def _model_ids(body: bytes) -> set[str]:
    try:
        return {str(card["id"]) for card in orjson.loads(body)["data"]}
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return set()
