"""Prometheus text: every `gateway_*` series with its unit, labels and help. Made only when somebody asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from types import MappingProxyType
from typing import Protocol, TypeVar

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, Exemplar, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.openmetrics import exposition as open_metrics

from gateway.admission.controller import Admission
from gateway.core.call import Principal
from gateway.core.ticker import Ticker
from gateway.engines.registry import EngineRegistry
from gateway.telemetry import turn_families
from gateway.telemetry.metrics import MAX_KEYS, Histogram, Metrics
from gateway.telemetry.turn_metrics import TurnMetrics

Where = TypeVar("Where", bound=tuple[str, ...])

_WHERE = ("model", "endpoint")
# Who uses the gateway and how much, and where its engines are.
_HIDDEN = {"key", "address"}
# What the plan says of each engine; the fields are `EngineSettings`'.
_PLANNED = {
    "max_num_seqs": "Planned: sequences in a batch at most.",
    "max_num_batched_tokens": "Planned: tokens in an engine step at most.",
    "max_model_len": "Planned: tokens in one request at most.",
    "kv_cache_tokens": "Planned: tokens that the KV cache holds.",
}


class OtherGateways(Protocol):
    """What is told of the other gateways."""

    gateways: int

    @property
    def up(self) -> bool: ...


class CommonStore(Protocol):
    """What is told of the way to the PostgreSQL of several gateways."""

    up: bool
    waiting: int

    def waiting_s(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the numbers are at the moment of a scrape."""

    deployment: str
    version: str
    metrics: Metrics
    turns: TurnMetrics
    registry: EngineRegistry
    admission: Admission
    ticker: Ticker
    connections: Callable[[], int]
    active_keys: Callable[[], Mapping[str, Principal]]
    ledger_failures: Callable[[], int]
    sharing: OtherGateways | None = None
    uplink: CommonStore | None = None


class Exposition:
    """Renders all of it."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._process = CollectorRegistry()
        ProcessCollector(namespace="gateway", registry=self._process)

    def text(self, everything: bool = True, with_exemplars: bool = False) -> bytes:
        """Prometheus text; without ``everything`` no series that names keys or the engines' addresses.

        ``with_exemplars``: OpenMetrics' text, which has those of times to the first token.
        """
        registry = CollectorRegistry()
        families = [*self._requests(), *self._keys(), *self._queue(), *self._engines(), *self._own()]
        families += turn_families.families(self._sources.deployment, self._sources.turns)
        shown = families if everything else list(filter(_harmless, families))
        if with_exemplars:
            registry.register(_Families([*shown, *self._process.collect()]))
            text: bytes = open_metrics.generate_latest(registry)  # type: ignore[no-untyped-call]
            return text
        registry.register(_Families(shown))
        return generate_latest(registry) + generate_latest(self._process)

    def _requests(self) -> Iterator[Metric]:
        metrics = self._sources.metrics
        text = "Requests for tokens or embeddings, by how they ended."
        yield self._counter("gateway_requests", text, (*_WHERE, "outcome"), metrics.requests)
        yield self._plain_counter("gateway_responses", "Responses begun, by status code.", "code", metrics.responses)
        gone = CounterMetricFamily("gateway_client_disconnects", "Clients that left before the end of their answer.")
        gone.add_metric([], metrics.disconnects)
        yield gone
        text = "Clients that left, by the stage of their request: queued, waiting for the first byte, streaming."
        yield self._counter("gateway_cancelled", text, ("stage",), _singles(metrics.cancellations))
        text = "Requests refused with 429, by the limit that refused them."
        yield self._counter("gateway_limited", text, ("reason",), _singles(metrics.limited))
        text = "Tokens that engines have read and written; cached_prompt is a part of prompt."
        yield self._counter("gateway_tokens", text, ("model", "kind"), metrics.tokens)
        text = "Streams: from the request's head to the engine's first event."
        yield self._histogram("gateway_time_to_first_token_seconds", text, _WHERE, metrics.ttft, metrics.exemplars)
        text = "From the request's head to the end of the answer."
        yield self._histogram("gateway_request_duration_seconds", text, _WHERE, metrics.duration)
        text = "Mean time between output tokens of each answer, from its first token to its last."
        per_token = {(model,): histogram for model, histogram in metrics.per_token.items()}
        yield self._histogram("gateway_request_time_per_output_token_seconds", text, ("model",), per_token)

    def _keys(self) -> Iterator[Metric]:
        sources = self._sources
        label = sources.metrics.key
        active = sources.active_keys()
        sources.metrics.free_labels(active)
        text = "Requests by key, by how they ended."
        yield self._counter("gateway_key_requests", text, ("key", "outcome"), sources.metrics.key_requests)
        text = "Tokens by key; cached_prompt is part of prompt."
        yield self._counter("gateway_key_tokens", text, ("key", "kind"), sources.metrics.key_tokens)
        waiting: dict[tuple[str, ...], float] = {}
        for by_key in sources.admission.waiting().values():
            for key, count in by_key.items():
                waiting[(label(key),)] = waiting.get((label(key),), 0) + count
        yield self._gauge("gateway_key_waiting", "Requests in the queue, by key.", ("key",), waiting)
        running: dict[tuple[str, ...], float] = {}
        for key, count in sources.admission.running_by_key.items():
            running[(label(key),)] = running.get((label(key),), 0) + count
        yield self._gauge("gateway_key_running", "Requests in flight to engines, by key.", ("key",), running)
        # No use of a key, so it takes no label away from those in use; the next ones to end are those to know of.
        ends = sorted((who.expires, name) for name, who in active.items() if who.expires is not None)
        expiries = {(name,): expires for expires, name in ends[:MAX_KEYS]}
        text = "Unix time at which a valid key expires."
        yield self._gauge("gateway_key_expiry_timestamp_seconds", text, ("key",), expiries)
        text = (
            "Jain's index of service over the keys that waited all through the last minute, of those with the most "
            "urgent priority; 1 for fewer than two."
        )
        yield self._gauge("gateway_fairness_jain_index", text, (), {(): sources.admission.jain()})

    def _queue(self) -> Iterator[Metric]:
        admission, models = self._sources.admission, sorted(self._sources.metrics.models)
        waiting = admission.waiting()
        depth = {(model,): float(sum(waiting.get(model, {}).values())) for model in models}
        yield self._gauge("gateway_queue_depth", "Requests in the queue.", ("model",), depth)
        text = "Seconds that requests waited in the queue for a slot; 0 for those that did not wait."
        waits = {(model,): histogram for model, histogram in self._sources.metrics.wait.items()}
        yield self._histogram("gateway_queue_wait_seconds", text, ("model",), waits)
        limits = {(model,): float(admission.limit(model)) for model in models}
        text = "Requests that may be in the engines at once."
        yield self._gauge("gateway_admission_limit", text, ("model",), limits)
        running = {(model,): float(admission.running[model]) for model in models}
        yield self._gauge("gateway_requests_running", "Requests in flight to engines.", ("model",), running)
        rates = {(model,): admission.drain_rate(model) for model in models}
        text = "Requests per second that ended in the engines, over the last 10 s."
        yield self._gauge("gateway_drain_rate_requests_per_second", text, ("model",), rates)

    def _engines(self) -> Iterator[Metric]:
        registry = self._sources.registry
        labels = ("engine_name", "address")
        replicas = {(replica.engine.name, replica.label): replica for replica in registry.replicas()}
        up = {where: float(replica.state == "up") for where, replica in replicas.items()}
        yield self._plain_gauge("gateway_engine_up", "1 if this replica gets requests.", labels, up)
        in_flight = {where: float(replica.in_flight) for where, replica in replicas.items()}
        text = "Requests in flight to this replica."
        yield self._gauge("gateway_engine_requests_in_flight", text, labels, in_flight)
        text = "Circuit breaker: 0 closed, 1 half-open (probing with one token), 2 open."
        breakers = {where: float(replica.circuit_breaker.state) for where, replica in replicas.items()}
        yield self._gauge("gateway_engine_breaker_state", text, labels, breakers)
        stuck = {where: float(bool(replica.structured_stuck)) for where, replica in replicas.items()}
        text = "1 if structured output of this replica is stuck while plain requests go on."
        yield self._gauge("gateway_structured_output_stuck", text, labels, stuck)
        text = "Adaptive concurrency limit: requests that this replica is sent at once."
        limits = {where: float(replica.limit) for where, replica in replicas.items()}
        yield self._gauge("gateway_engine_limit", text, labels, limits)
        text = "KV-cache tokens that this replica's requests are expected to reach at most."
        now = max((replica.pool.now() for replica in replicas.values()), default=0.0)
        peaks = {where: replica.occupancy.peak(now) for where, replica in replicas.items()}
        yield self._gauge("gateway_engine_kv_peak_tokens", text, labels, peaks)
        text = "KV-cache tokens that they may reach: without what others use and what is kept free after preemptions."
        usable = {where: replica.occupancy.usable for where, replica in replicas.items()}
        yield self._gauge("gateway_engine_kv_usable_tokens", text, labels, usable)
        text = "Requests with a prompt of 512 bytes or a session, by whether they went to the replica that knows it."
        yield self._counter("gateway_affinity", text, ("result",), _singles(registry.affinity.results))
        retries = {(engine.name,): float(self._sources.metrics.retries[engine.name]) for engine in registry.engines}
        text = "Requests that were retried on another engine."
        yield self._counter("gateway_retries", text, ("engine_name",), retries)
        for field, text in _PLANNED.items():
            values = {(engine.name,): float(getattr(engine, field)) for engine in registry.engines}
            yield self._plain_gauge(f"gateway_engine_{field}", text, ("engine_name",), values)

    def _own(self) -> Iterator[Metric]:
        sources = self._sources
        text = "Requests admitted or in the queue, and not yet answered."
        yield self._plain_gauge("gateway_requests_in_flight", text, (), {(): float(sources.admission.in_flight)})
        text = "Worst lateness of the event loop in the last 10 to 20 s."
        yield self._plain_gauge("gateway_event_loop_lag_seconds", text, (), {(): sources.ticker.lag})
        connections = {(): float(sources.connections())}
        yield self._gauge("gateway_connections", "Client connections that are open.", (), connections)
        text = "Failed writes of usage to the key store; the usage is kept and tried again."
        yield self._counter("gateway_ledger_write_failures", text, (), {(): float(sources.ledger_failures())})
        failures = {(name,): float(part.failures) for name, part in sources.ticker.supervisor.parts.items()}
        text = "Failures of background tasks of the gateway; the task goes on."
        yield self._counter("gateway_task_failures", text, ("task",), failures)
        text = "Reloads of a changed gateway.yaml or key file, by result."
        yield self._counter("gateway_config_reloads", text, ("result",), _singles(sources.metrics.reloads))
        sharing = sources.sharing
        text = "0 while several gateways ought to exchange and this one goes on alone; 1 otherwise."
        yield self._plain_gauge("gateway_share_up", text, (), {(): 1.0 if sharing is None else float(sharing.up)})
        text = "Gateways that share limits and fairness, this one included; the last known number while alone."
        gateways = 1 if sharing is None else sharing.gateways
        yield self._plain_gauge("gateway_share_gateways", text, (), {(): float(gateways)})
        yield from self._common_store()
        text = "Always 1; the label says which version."
        yield self._plain_gauge("gateway_build_info", text, ("version",), {(sources.version,): 1.0})

    def _common_store(self) -> Iterator[Metric]:
        uplink = self._sources.uplink
        text = (
            "0 while the PostgreSQL with the keys and usage of several gateways takes nothing from here; 1 otherwise."
        )
        yield self._plain_gauge("gateway_postgres_up", text, (), {(): 1.0 if uplink is None else float(uplink.up)})
        text = "Requests whose usage waits in this gateway's own store until PostgreSQL takes it."
        waiting = 0.0 if uplink is None else float(uplink.waiting)
        yield self._plain_gauge("gateway_usage_waiting_requests", text, (), {(): waiting})
        text = "For how long the oldest of it has waited, since the gateway's start at most."
        seconds = 0.0 if uplink is None else uplink.waiting_s()
        yield self._plain_gauge("gateway_usage_waiting_seconds", text, (), {(): seconds})

    def _counter(self, name: str, text: str, labels: tuple[str, ...], values: Mapping[Where, float]) -> Metric:
        family = CounterMetricFamily(name, text, labels=["deployment", *labels])
        for where, value in values.items():
            family.add_metric([self._sources.deployment, *where], value)
        return family

    def _gauge(self, name: str, text: str, labels: tuple[str, ...], values: Mapping[Where, float]) -> Metric:
        family = GaugeMetricFamily(name, text, labels=["deployment", *labels])
        for where, value in values.items():
            family.add_metric([self._sources.deployment, *where], value)
        return family

    def _histogram(
        self,
        name: str,
        text: str,
        labels: tuple[str, ...],
        values: Mapping[Where, Histogram],
        exemplars: Mapping[Where, Mapping[int, tuple[str, float, float]]] = MappingProxyType({}),
    ) -> Metric:
        family = HistogramMetricFamily(name, text, labels=["deployment", *labels])
        for where, histogram in values.items():
            names = [*(str(bound) for bound in histogram.bounds), "+Inf"]
            found = exemplars.get(where, {})
            counts = [
                (name, count, Exemplar({"trace_id": found[at][0]}, *found[at][1:])) if at in found else (name, count)
                for at, (name, count) in enumerate(zip(names, accumulate(histogram.counts), strict=True))
            ]
            family.add_metric([self._sources.deployment, *where], counts, histogram.sum)
        return family

    def _plain_counter(self, name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
        family = CounterMetricFamily(name, text, labels=[label])
        for value, count in values.items():
            family.add_metric([value], count)
        return family

    def _plain_gauge(self, name: str, text: str, labels: tuple[str, ...], values: Mapping[Where, float]) -> Metric:
        """A gauge without the label `deployment`."""
        family = GaugeMetricFamily(name, text, labels=labels)
        for where, value in values.items():
            family.add_metric(where, value)
        return family


def _harmless(family: Metric) -> bool:
    return not any(_HIDDEN & sample.labels.keys() for sample in family.samples)


class _Families:
    """Families made beforehand, in the shape that a registry takes."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        return self._families


def _singles(counts: Mapping[str, int]) -> dict[tuple[str, ...], float]:
    return {(name,): float(count) for name, count in counts.items()}
