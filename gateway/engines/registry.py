"""Model -> addresses of engines: which of them serve it now, and which is best for a request."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from gateway.config.settings import EngineSettings, Polling, RoutingSettings
from gateway.core.call import Call
from gateway.core.cost import cost
from gateway.core.errors import EngineBroken, EngineSilent, NoEngineUp, StructuredStuck, UnknownModel
from gateway.core.ticker import Sweeper
from gateway.engines import balancing, prefix_affinity
from gateway.engines.health_checker import Poller
from gateway.engines.replica import Address, State
from gateway.engines.resolver import Resolver
from gateway.http.client import Pool

# The first of them that one of an engine's addresses has is the engine's.
STATES: tuple[State, ...] = ("up", "stalled", "starting", "down")
RETRY_AFTER_S: dict[State, int] = {"starting": 5, "stalled": 5, "down": 2, "up": 1}


@dataclass(frozen=True, slots=True)
class Health:
    """An engine as a whole: as good as its best address (`STATES`).

    ``reason``: why one of them is not up, for those who run it; ``told``: the same without addresses, for clients.
    ``stuck``: those whose structured output is stuck, each with the Unix time since when.
    """

    name: str
    state: State
    since: float
    reason: str
    told: str
    up: int
    addresses: int
    models: tuple[str, ...]
    stuck: tuple[tuple[str, float], ...] = ()


class Backends:
    """All engines. `start` begins the asking, `stop` ends it."""

    def __init__(
        self,
        engines: Sequence[EngineSettings],
        polling: Polling,
        settings: RoutingSettings,
        sweeper: Sweeper,
        loop: asyncio.AbstractEventLoop,
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
        self._poller = Poller(polling, self._alone, self._gone, sweeper.supervisor, loop)
        self._resolver = Resolver(polling.resolve_interval_s, self._replace, self._unknown, sweeper.supervisor, loop)
        self._serving: dict[str, tuple[Address, ...]] = {}
        self._use_affinity = settings.affinity
        self.affinity = prefix_affinity.Memory(settings.affinity_blocks)

    def start(self) -> None:
        for engine in self.engines:
            self._resolver.watch(engine)

    def stop(self) -> None:
        self._resolver.stop()
        self._poller.stop()
        for address in self.addresses():
            address.pool.close()

    def change(self, engines: Sequence[EngineSettings], polling: Polling) -> None:
        """Other engines from now on. One that is gone or different gets nothing more; what it has goes on."""
        self._poller.use(polling)
        self._resolver.interval_s = polling.resolve_interval_s
        kept = [engine for engine in self.engines if engine in engines]
        for engine in (engine for engine in self.engines if engine not in kept):
            self._resolver.leave(engine)
            self._replace(engine, set())
            del self._addresses[engine.name]
        self.engines = engines
        self._models = {model: engine for engine in reversed(engines) for model in engine.models}
        self._serving.clear()
        for engine in (engine for engine in engines if engine not in kept):
            self._addresses[engine.name] = {}
            self._no_address[engine.name] = "its name has not been looked up yet"
            self._resolver.watch(engine)

    def addresses(self) -> list[Address]:
        return [address for found in self._addresses.values() for address in found.values()]

    def models(self) -> dict[str, EngineSettings]:
        """Every configured model and the first engine that serves it."""
        return self._models

    def serving(self, model: str) -> tuple[Address, ...]:
        """The addresses that serve a model now. Kept until one of them changes: each request asks several times."""
        found = self._serving.get(model)
        if found is None:
            found = tuple(address for address in self.addresses() if model in address.models)
            if model in self._models:  # clients' inventions are not kept
                self._serving[model] = found
        return found

    def waited_for(self, model: str) -> bool:
        """Whether an address that stands still serves the model, so that requests for it wait."""
        return any(address.state == "stalled" and model in address.listed for address in self.addresses())

    def several(self, model: str) -> bool:
        """Whether there is a choice between addresses."""
        return len(self.serving(model)) > 1

    def need(self, model: str) -> None:
        """Make sure that the model is served.

        Raises:
            UnknownModel: no engine is configured to serve it.
            NoEngineUp: none that serves it is up, or waited for; says whether one is starting, and when to come back.
        """
        if self.serving(model) or self.waited_for(model):
            return
        known = self.models()
        if model not in known:
            names = ", ".join(f"'{name}'" for name in known)
            raise UnknownModel(f"no model '{model[:200]}' here; there are {names}", param="model")
        raise self.none_up(model)

    def refusal(self, call: Call) -> StructuredStuck | None:
        """What a request has to be told though its model is served."""
        serving = self.serving(call.model) if call.structured else ()
        if not serving or not all(address.structured_stuck for address in serving):
            return None
        why = serving[0].structured_stuck
        return StructuredStuck(f"model '{call.model}': {why}; try again in 30 s", retry_after=30)

    def limit(self, model: str) -> int:
        """Requests that may be at the addresses that serve the model now; 0 if there are none."""
        return sum(address.limit for address in self.serving(model))

    def reserve(self, model: str) -> int:
        """How many of them are kept for keys that have few."""
        return sum(address.reserve for address in self.serving(model))

    def has_room(self, model: str, whole: bool) -> bool:
        """Whether one of them has room for the smallest request. ``whole``: the reserve counts too."""
        return any(address.has_room(0.0, 0.0, whole) for address in self.serving(model))

    def choose(self, call: Call, whole: bool = True) -> Address | None:
        """The best address with room for a request; None if there is none. ``whole``: it may take of the reserve."""
        prompt, output, serving = call.prompt_tokens, call.expected_output, self.serving(call.model)
        if len(serving) == 1:
            return serving[0] if serving[0].has_room(prompt, output, whole) else None
        return self._best(call, [one for one in serving if one.has_room(prompt, output, whole)])

    def another(self, call: Call, but: Collection[Address]) -> Address | None:
        """The best address but these, for a request that has had its place: it may go over a limit."""
        return self._best(call, [address for address in self.serving(call.model) if address not in but])

    def _best(self, call: Call, free: list[Address]) -> Address | None:
        if call.structured:
            free = [address for address in free if not address.structured_stuck]
        if not free:
            return None
        self._turn += 1
        if not self.several(call.model):
            return free[0]
        chosen = balancing.choose([address.work for address in free], self._turn, random.random)
        best = free[chosen]
        if call.affinity and self._use_affinity:
            best = self._affine(call, free, best)
            self.affinity.remember(call.affinity, best.bit)
        return best

    def none_up(self, model: str) -> NoEngineUp:
        """What to tell someone who asks for a model that nobody serves at the moment."""
        healths = [health for health in self.health() if model in health.models]
        states = [health.state for health in healths]
        state: State = "stalled" if "stalled" in states else "starting" if "starting" in states else "down"
        reasons = "; ".join(f"engine '{health.name}': {health.told or health.state}" for health in healths)
        reasons = reasons or "no engine is configured for it any more"
        after = RETRY_AFTER_S[state]
        return NoEngineUp(f"model '{model}' is {state} ({reasons}); try again in {after} s", retry_after=after)

    def failed(self, address: Address, error: EngineBroken | EngineSilent, structured: bool = False) -> None:
        """A request failed there.

        Out at once if it could not even be brought there, or the engine says that it is ending. Else it has to bring
        a token now, and goes out if it cannot, or at the third failure in a row. The last one that serves a model
        goes out only by failing at that token: a request that breaks every engine must not close them all.

        ``structured``: the request had the engine compile a form. vLLM 0.32 answers 500 to some that its compiler does
        not take (a pattern such as ^[a-z]{1,200}$), so this says nothing of the engine; the token does.
        """
        how = error.how if isinstance(error, EngineBroken) else "broken"
        address.ending = address.ending or how == "declined"
        if how == "unsent":
            address.lost(error.message)
        elif not address.breaker.closed:
            return
        elif how == "declined":
            address.out("it is ending: it takes no new requests")
        else:
            one_too_many = not structured and address.breaker.failed(error.message)
            if one_too_many and not self._alone(address):
                address.out(address.breaker.reason)
            else:
                self._poller.try_soon(address)

    def health(self) -> list[Health]:
        return [self._health(engine) for engine in self.engines]

    def _affine(self, call: Call, free: list[Address], least: Address) -> Address:
        """The one that has read this prompt's beginning, unless it has too much to do; else the least loaded."""
        among = 0
        for address in free:
            among |= address.bit
        knowing, length = self.affinity.find(call.affinity, among)
        results = self.affinity.results
        if not knowing:
            holders, _ = self.affinity.find(call.affinity, -1)  # some of them have no place
            results["escaped" if holders else "new"] += 1
            return least
        if knowing & least.bit:
            results["kept"] += 1
            return least
        best = min((address for address in free if address.bit & knowing), key=lambda address: address.work)
        size = max(1, len(call.body))
        known = 1.0 if length is None else min(1.0, length / size)
        service = cost(call.prompt_tokens, call.expected_output)
        if balancing.keeps(best.work, least.work, known, best.limit, service):
            results["kept"] += 1
            return best
        results["escaped"] += 1
        return least

    def _health(self, engine: EngineSettings) -> Health:
        found = list(self._addresses[engine.name].values())
        if not found:
            reason = self._no_address[engine.name]
            told = "no address is known for it yet"
            return Health(engine.name, "starting", self._started, reason, told, 0, 0, engine.models)
        up = [address for address in found if address.state == "up"]
        best = min(found, key=lambda address: (STATES.index(address.state), address.since))
        others = {a: a.structured_stuck if a.state == "up" else a.reason for a in found}
        others = {address: why for address, why in others.items() if why}
        told = "; ".join(dict.fromkeys(others.values()))
        reason = "; ".join(f"{address.label}: {why}" for address, why in others.items()) if len(found) > 1 else told
        stuck = tuple((address.label, address.structured_stuck_since) for address in up if address.structured_stuck)
        return Health(engine.name, best.state, best.since, reason, told, len(up), len(found), engine.models, stuck)

    def _changed(self) -> None:
        self._serving.clear()

    def _alone(self, address: Address) -> bool:
        """Whether there is something that this address alone serves, or would serve."""
        return any(
            all(other is address for other in self.serving(model)) for model in address.listed or address.engine.models
        )

    def _gone(self, address: Address) -> None:
        self.affinity.forget(address.bit)

    def _unknown(self, engine: EngineSettings, why: str) -> None:
        self._no_address[engine.name] = why

    def _replace(self, engine: EngineSettings, hosts: set[str]) -> None:
        known = self._addresses[engine.name]
        for host in known.keys() - hosts:
            gone = known.pop(host)
            gone.lost("no longer listed under its name")
            self._gone(gone)
            self._sweeper.discard(gone.pool)
            self._poller.leave(gone)
            gone.pool.close()
        for host in hosts - known.keys():
            address = Address(engine, host, Pool(host, engine.port, self._loop), self._polling, self._changed)
            address.bit = self._free_bit()
            known[host] = address
            self._sweeper.add(address.pool)
            self._poller.watch(address)
        self._changed()

    def _free_bit(self) -> int:
        taken = {address.bit for address in self.addresses()}
        bit = 1
        while bit in taken:
            bit <<= 1
        return bit
