"""The registry of engines: which replicas serve a model now, and which is best for a request."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Collection, Sequence

from gateway.config.settings import EngineSettings, Polling, RoutingSettings
from gateway.core.call import Call
from gateway.core.errors import EngineBroken, EngineSilent, NoEngineUp, PeerLoop, StructuredStuck
from gateway.core.ticker import Ticker
from gateway.engines import absence, balancing, far, health_report, prefix_affinity, spilling
from gateway.engines.health_checker import HealthChecker
from gateway.engines.health_report import Health
from gateway.engines.replica import Replica
from gateway.engines.resolver import Resolver
from gateway.http.client import Pool


class EngineRegistry:
    """All engines. `start` begins the asking, `stop` ends it. ``id``: what other boxes' gateways tell this one by."""

    def __init__(
        self,
        engines: Sequence[EngineSettings],
        polling: Polling,
        settings: RoutingSettings,
        ticker: Ticker,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.id = secrets.token_hex(8)
        self.engines = engines
        self._models = {model: engine for engine in reversed(engines) for model in engine.models}
        self._polling = polling
        self._ticker = ticker
        self._loop = loop
        self._started = time.time()
        self._turn = 0
        self._replicas: dict[str, dict[str, Replica]] = {engine.name: {} for engine in engines}
        self._no_address = {engine.name: "its name has not been looked up yet" for engine in engines}
        self._health_checker = HealthChecker(polling, self._alone, self._forget, ticker.supervisor, loop, self.id)
        self._resolver = Resolver(polling.resolve_interval_s, self._replace, self._unknown, ticker.supervisor, loop)
        self._serving: dict[str, tuple[Replica, ...]] = {}
        self._loaded, self._closed = set[str](), set[str]()  # of those that take turns; closed: nothing new goes there
        self._use_affinity = settings.affinity
        self.affinity = prefix_affinity.PrefixMemory(settings.affinity_blocks)

    def start(self) -> None:
        for engine in self.engines:
            self._resolver.watch(engine)

    def stop(self) -> None:
        self._resolver.stop()
        self._health_checker.stop()
        for replica in self.replicas():
            replica.pool.close()

    def change(self, engines: Sequence[EngineSettings], polling: Polling) -> None:
        """Other engines from now on. One that is gone or different gets nothing more; what it has goes on."""
        self._health_checker.use(polling)
        self._resolver.interval_s = polling.resolve_interval_s
        kept = [engine for engine in self.engines if engine in engines]
        for engine in (engine for engine in self.engines if engine not in kept):
            self._resolver.leave(engine)
            self._replace(engine, set())
            del self._replicas[engine.name]
        self.engines = engines
        self._models = {model: engine for engine in reversed(engines) for model in engine.models}
        self._serving.clear()
        for engine in (engine for engine in engines if engine not in kept):
            self._replicas[engine.name] = {}
            self._no_address[engine.name] = "its name has not been looked up yet"
            self._resolver.watch(engine)

    def replicas(self) -> list[Replica]:
        return [replica for found in self._replicas.values() for replica in found.values()]

    def models(self) -> dict[str, EngineSettings]:
        """Every configured model and the first engine that serves it."""
        return self._models

    def serving(self, model: str) -> tuple[Replica, ...]:
        """The addresses that serve a model now. Kept until one of them changes: each request asks several times."""
        found = self._serving.get(model)
        if found is None:
            closed = self._closed
            ours = (one for one in self.replicas() if model in one.models and not one.spills)
            found = tuple(one for one in ours if one.engine.name not in closed)
            if model in self._models:  # clients' inventions are not kept
                self._serving[model] = found
        return found

    def waited_for(self, model: str) -> bool:
        """Whether requests for it wait: what stands still or a full peer serves it, or it takes turns with others."""
        return self.away(model) or any(
            (replica.state == "stalled" or (replica.far and not replica.spills and replica.state == "up"))
            and model in replica.listed
            for replica in self.replicas()
        )

    def spill(self, call: Call, key: str, waited: float) -> Replica | None:
        """A server that is not ours, if it may have the request now (`spilling`)."""
        return spilling.choose(self.replicas(), call, key, waited, not self.serving(call.model))

    def own(self, model: str) -> tuple[Replica, ...]:
        """The addresses of this box that serve the model now."""
        return tuple(replica for replica in self.serving(model) if not replica.far)

    def need_own(self, model: str) -> None:
        """Make sure that a request of another box's gateway crosses no second wire.

        Raises:
            PeerLoop: no engine of this box is configured to serve the model.
            NoEngineUp: none of them is up.
        """
        if self.own(model):
            return
        if any(model in engine.models and engine.kind == "engine" for engine in self.engines):
            raise self.none_up(model)
        raise PeerLoop(f"model '{model}' is served by other boxes alone, and a request crosses one wire at most")

    def away(self, model: str) -> bool:
        """Whether the model takes turns with others and is not served now."""
        engine = self._models.get(model)
        return engine is not None and engine.turn is not None and not self.serving(model)

    def load(self, engine: str) -> None:
        """One that takes turns is loaded: it gets requests once it has brought a token."""
        self._loaded.add(engine)
        for replica in self.addresses(engine):
            self._health_checker.leave(replica)
            replica.awaken()
            self._health_checker.watch(replica)

    def rest(self, engine: str, reason: str) -> None:
        """One that takes turns gets nothing, and is asked nothing."""
        self._loaded.discard(engine)
        for replica in self.addresses(engine):
            self._health_checker.leave(replica)
            replica.rest(reason)
            self.affinity.forget(replica.bit)

    def admit(self, engine: str, new: bool) -> None:
        """Whether one that takes turns gets new requests; those that it has go on."""
        (self._closed.discard if new else self._closed.add)(engine)
        self._changed()

    def addresses(self, engine: str) -> list[Replica]:
        """Those of one engine."""
        return list(self._replicas.get(engine, {}).values())

    def several(self, model: str) -> bool:
        """Whether there is a choice between addresses."""
        return len(self.serving(model)) > 1

    def need(self, model: str, call: Call | None = None, key: str = "") -> None:
        """Make sure that the model is served, or that the ``call`` of this key may leave for a server that is not ours.

        Raises:
            UnknownModel: no engine is configured to serve it.
            NoEngineUp: none that serves it is up, or waited for; says whether one is starting, and when to come back.
        """
        if self.serving(model) or self.waited_for(model):
            return
        if call is not None and spilling.may(self.replicas(), call, key):
            return
        known = self.models()
        if model not in known:
            raise absence.unknown(model, known)
        raise self.none_up(model)

    def refusal(self, call: Call) -> StructuredStuck | None:
        """What a request has to be told though its model is served."""
        serving = self.serving(call.model) if call.structured else ()
        if not serving or not all(replica.structured_stuck for replica in serving):
            return None
        why = serving[0].structured_stuck
        return StructuredStuck(f"model '{call.model}': {why}; try again in 30 s", retry_after=30)

    def limit(self, model: str) -> int:
        """Requests that may be at the addresses that serve the model now; 0 if there are none."""
        return sum(replica.limit for replica in self.serving(model))

    def reserve(self, model: str) -> int:
        """How many of them are kept for keys that have few."""
        return sum(replica.reserve for replica in self.serving(model))

    def has_room(self, model: str, whole: bool) -> bool:
        """Whether one of them has room for the smallest request. ``whole``: the reserve counts too."""
        return any(replica.has_room(0.0, 0.0, whole) or replica.untouched for replica in self.serving(model))

    def choose(self, call: Call, whole: bool = True) -> Replica | None:
        """The best address with room, or with nothing of ours; None if there is none. ``whole``: of the reserve too."""
        prompt, output, serving = call.prompt_tokens, call.expected_output, self.serving(call.model)
        if call.local:
            serving = self.own(call.model)
        if len(serving) == 1:
            return serving[0] if serving[0].untouched or serving[0].has_room(prompt, output, whole) else None
        free = [one for one in serving if one.has_room(prompt, output, whole)]
        return self._best(call, free or [one for one in serving if one.untouched])

    def another(self, call: Call, but: Collection[Replica]) -> Replica | None:
        """The best address but these, for a request that has had its slot: it may go over a limit."""
        serving = self.own(call.model) if call.local else self.serving(call.model)
        return self._best(call, [replica for replica in serving if replica not in but])

    def _best(self, call: Call, free: list[Replica]) -> Replica | None:
        if call.structured:
            free = [replica for replica in free if not replica.structured_stuck]
        if not free:
            return None
        self._turn += 1
        if not self.several(call.model):
            return free[0]
        chosen = balancing.choose([replica.load for replica in free], self._turn, random.random)
        best = free[chosen]
        if call.affinity and self._use_affinity:
            best = prefix_affinity.affine(self.affinity, call, free, best)
            self.affinity.remember(call.affinity, best.bit)
        return best

    def none_up(self, model: str) -> NoEngineUp:
        """What to tell someone who asks for a model that nobody serves at the moment."""
        return absence.none_up(model, self.health())

    def failed(self, replica: Replica, error: EngineBroken | EngineSilent, structured: bool = False) -> None:
        """A request failed there.

        Out at once if it could not even be brought there, or the engine says that it is ending. Else it has to bring
        a token now, and goes out if it cannot, or at the third failure in a row. The last one that serves a model
        goes out only by failing at that token: a request that breaks every engine must not close them all.

        ``structured``: the request had the engine compile a form. vLLM 0.32 answers 500 to some that its compiler does
        not take (a pattern such as ^[a-z]{1,200}$), so this says nothing of the engine; the token does.
        """
        how = error.how if isinstance(error, EngineBroken) else "broken"
        replica.ending = replica.ending or how == "declined"
        if how == "unsent":
            replica.lost(error.message)
        elif not replica.circuit_breaker.closed:
            return
        elif how == "declined":
            replica.out(error.message if replica.far else "it is ending: it takes no new requests")
        else:
            one_too_many = not structured and replica.circuit_breaker.failed(error.message)
            if one_too_many and not self._alone(replica):
                replica.out(replica.circuit_breaker.reason)
            else:
                self._health_checker.try_soon(replica)

    def health(self) -> list[Health]:
        return [
            health_report.of_engine(engine, self.addresses(engine.name), self._no_address[engine.name], self._started)
            for engine in self.engines
        ]

    def _changed(self) -> None:
        self._serving.clear()

    def _alone(self, replica: Replica) -> bool:
        """Whether there is something that this address alone serves, or would serve."""
        models = replica.listed or replica.engine.models
        return any(all(other is replica for other in self.serving(model)) for model in models)

    def _forget(self, replica: Replica) -> None:
        self.affinity.forget(replica.bit)

    def _unknown(self, engine: EngineSettings, why: str) -> None:
        self._no_address[engine.name] = why

    def _replace(self, engine: EngineSettings, hosts: set[str]) -> None:
        known = self._replicas[engine.name]
        for host in known.keys() - hosts:
            gone = known.pop(host)
            gone.lost("no longer listed under its name")
            self.affinity.forget(gone.bit)
            self._ticker.discard(gone.pool)
            self._health_checker.leave(gone)
            gone.pool.close()
        for host in hosts - known.keys():
            pool = Pool(host, engine.port, self._loop, far.secured(engine))
            replica = Replica(engine, host, pool, self._polling, self._changed, far.header_lines(engine, self.id))
            replica.bit = self._free_bit()
            known[host] = replica
            self._ticker.add(replica.pool)
            if engine.turn is not None and engine.name not in self._loaded:
                replica.rest("takes turns, and is not loaded")
            else:
                self._health_checker.watch(replica)
        self._changed()

    def _free_bit(self) -> int:
        taken = {replica.bit for replica in self.replicas()}
        bit = 1
        while bit in taken:
            bit <<= 1
        return bit
