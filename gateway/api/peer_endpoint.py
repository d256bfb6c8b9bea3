"""`/peer`: what another box's gateway asks before it sends requests here, and once a second after that."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from pydantic import TypeAdapter

from gateway import __version__
from gateway.admission.controller import Admission
from gateway.config.settings import EngineSettings
from gateway.engines.health_report import Health
from gateway.engines.peer_report import PROTOCOL, PeerEngine, PeerReport
from gateway.engines.registry import EngineRegistry
from gateway.engines.replica import Replica
from gateway.http.messages import JSON, Request
from gateway.http.reply import Reply

_REPORT = TypeAdapter(PeerReport)


class PeerEndpoint:
    """Tells of this box's own engines only: what comes from a third box is that one's to offer."""

    def __init__(self, registry: EngineRegistry, admission: Admission, draining: Callable[[], bool]) -> None:
        self._registry = registry
        self._admission = admission
        self._draining = draining

    async def answer(self, request: Request, reply: Reply) -> None:
        may = request.principal.models
        waiting = {model: sum(keys.values()) for model, keys in self._admission.waiting().items()}
        healths = {health.name: health for health in self._registry.health()}
        engines = tuple(
            self._engine(engine, healths[engine.name], may, waiting)
            for engine in self._registry.engines
            if engine.kind == "engine" and (may is None or not may.isdisjoint(engine.models))
        )
        report = PeerReport(PROTOCOL, __version__, self._registry.id, time.time(), engines)
        reply.send(200, JSON, _REPORT.dump_json(report))

    def _engine(
        self, engine: EngineSettings, health: Health, may: frozenset[str] | None, waiting: Mapping[str, int]
    ) -> PeerEngine:
        up = [one for one in self._registry.replicas() if one.engine.name == engine.name and one.models]
        serves = frozenset().union(*(one.models for one in up)) if not self._draining() else frozenset[str]()
        queued = sum(waiting.get(model, 0) for model in engine.models)
        reports = [one.report for one in up if one.report is not None]
        return PeerEngine(
            name=engine.name,
            models=tuple(model for model in engine.models if model in serves and (may is None or model in may)),
            configured=tuple(model for model in engine.models if may is None or model in may),
            reason="it is stopping" if self._draining() else health.told,
            max_num_seqs=engine.max_num_seqs,
            max_num_batched_tokens=engine.max_num_batched_tokens,
            max_model_len=engine.max_model_len,
            kv_cache_tokens=engine.kv_cache_tokens,
            running=sum(one.in_flight for one in up),
            waiting=queued,
            free=0 if queued else sum(map(_free, up)),  # who waits here comes first
            addresses=len(up),
            load=sum(one.load for one in up),
            generated=sum(report.generation_tokens for report in reports),
            capabilities=engine.capabilities,
            adapters=dict(engine.adapters) or None,
            pictures=engine.pictures,
        )


def _free(replica: Replica) -> int:
    """How many more it would take of a key that has many."""
    if not replica.has_room(0.0, 0.0, whole=False):
        return 0
    return replica.limit - replica.reserve - replica.in_flight
