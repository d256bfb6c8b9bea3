"""Every `gateway_*` series: name, unit, labels, buckets. Plain numbers, turned into text only when scraped.

Label values come from the configuration or from the sets below, never from what a client sent.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate, product

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

OTHER = "other"
ENDPOINTS = frozenset({"/v1/chat/completions", "/v1/completions", "/v1/embeddings"})
OUTCOMES = frozenset(
    {
        "ok",  # a whole answer
        "refused",  # the gateway's own 4xx: bad request, no key, unknown model, too large, too slow
        "overloaded",  # 429
        "engine_rejected",  # the engine's own 4xx, passed through
        "no_engine",  # 503
        "engine_error",  # the engine broke or answered 5xx; also an error or an abort inside a stream
        "engine_timeout",  # the engine was silent for too long
        "cut",  # the stream ended without [DONE]
        "client_gone",  # the client left before the end
        "internal",  # a defect of the gateway
    }
)
_CODES = frozenset({200, 400, 401, 403, 404, 405, 408, 413, 415, 422, 429, 431, 500, 501, 502, 503, 504})
_TTFT_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
_DURATION_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0)


@dataclass(frozen=True, slots=True)
class EngineGauges:
    """One engine at the moment of a scrape; ``up`` by address."""

    name: str
    max_num_seqs: int
    max_num_batched_tokens: int
    max_model_len: int
    kv_cache_tokens: int
    up: dict[str, bool]


@dataclass(frozen=True, slots=True)
class Gauges:
    """What is only known at the moment of a scrape."""

    in_flight: int
    loop_lag_s: float
    engines: list[EngineGauges]


class _Histogram:
    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def add_to(self, family: HistogramMetricFamily, labels: list[str]) -> None:
        names = [*(str(bound) for bound in self._bounds), "+Inf"]
        family.add_metric(labels, list(zip(names, accumulate(self._counts), strict=True)), self._sum)


class Metrics:
    """What happened since the start."""

    def __init__(self, deployment: str, models: Iterable[str], version: str) -> None:
        self._deployment = deployment
        self._models = frozenset(models)
        self._version = version
        # All at 0 from the start: a counter that appears with its first failure hides it from increase().
        series = product(sorted(self._models), sorted(ENDPOINTS), sorted(OUTCOMES))
        self._requests: Counter[tuple[str, str, str]] = Counter(dict.fromkeys(series, 0))
        self._responses: Counter[str] = Counter()
        self._disconnects = 0
        self._ttft: dict[tuple[str, str], _Histogram] = {}
        self._duration: dict[tuple[str, str], _Histogram] = {}
        self._process = CollectorRegistry()
        ProcessCollector(namespace="gateway", registry=self._process)

    def finished(self, endpoint: str, model: str, outcome: str, seconds: float) -> None:
        """A request for tokens or embeddings has come to its end, whatever end."""
        where = self._where(endpoint, model)
        self._requests[(*where, outcome if outcome in OUTCOMES else OTHER)] += 1
        self._duration.setdefault(where, _Histogram(_DURATION_S)).observe(seconds)
        if outcome == "client_gone":
            self._disconnects += 1

    def first_byte(self, endpoint: str, model: str, seconds: float) -> None:
        """The first body byte of a stream came so long after the request."""
        self._ttft.setdefault(self._where(endpoint, model), _Histogram(_TTFT_S)).observe(seconds)

    def responded(self, status: int) -> None:
        self._responses[str(status) if status in _CODES else OTHER] += 1

    def render(self, gauges: Gauges) -> bytes:
        """Prometheus text."""
        registry = CollectorRegistry()
        registry.register(_Scrape([*self._families(), *self._gauge_families(gauges)]))
        return generate_latest(registry) + generate_latest(self._process)

    def _where(self, endpoint: str, model: str) -> tuple[str, str]:
        return (model if model in self._models else OTHER, endpoint if endpoint in ENDPOINTS else OTHER)

    def _families(self) -> Iterator[Metric]:
        labels = ["deployment", "model", "endpoint"]
        text = "Requests for tokens or embeddings, by how they ended."
        requests = CounterMetricFamily("gateway_requests", text, labels=[*labels, "outcome"])
        for (model, endpoint, outcome), count in self._requests.items():
            requests.add_metric([self._deployment, model, endpoint, outcome], count)
        responses = CounterMetricFamily("gateway_responses", "Responses begun, by status code.", labels=["code"])
        for code, count in self._responses.items():
            responses.add_metric([code], count)
        gone = CounterMetricFamily("gateway_client_disconnects", "Clients that left before the end of their answer.")
        gone.add_metric([], self._disconnects)
        text = "Streams: from the request's head to the engine's first body byte."
        ttft = HistogramMetricFamily("gateway_time_to_first_token_seconds", text, labels=labels)
        text = "From the request's head to the end of the answer."
        duration = HistogramMetricFamily("gateway_request_duration_seconds", text, labels=labels)
        for family, histograms in ((ttft, self._ttft), (duration, self._duration)):
            for where, histogram in histograms.items():
                histogram.add_to(family, [self._deployment, *where])
        yield from (requests, responses, gone, ttft, duration)

    def _gauge_families(self, gauges: Gauges) -> Iterator[Metric]:
        yield _gauge("gateway_requests_in_flight", "Requests admitted and not yet answered.", gauges.in_flight)
        text = "Worst lateness of the event loop in the last 10 to 20 s."
        yield _gauge("gateway_event_loop_lag_seconds", text, gauges.loop_lag_s)
        build = GaugeMetricFamily("gateway_build_info", "Always 1; the label says which version.", labels=["version"])
        build.add_metric([self._version], 1)
        yield build
        labels = ["engine_name", "address"]
        up = GaugeMetricFamily("gateway_engine_up", "1 if this address takes requests.", labels=labels)
        for engine in gauges.engines:
            for address, is_up in engine.up.items():
                up.add_metric([engine.name, address], is_up)
        yield up
        for field, text in (
            ("max_num_seqs", "Planned: sequences in a batch at most."),
            ("max_num_batched_tokens", "Planned: tokens in an engine step at most."),
            ("max_model_len", "Planned: tokens in one request at most."),
            ("kv_cache_tokens", "Planned: tokens that the KV cache holds."),
        ):
            family = GaugeMetricFamily(f"gateway_engine_{field}", text, labels=["engine_name"])
            for engine in gauges.engines:
                family.add_metric([engine.name], getattr(engine, field))
            yield family


class _Scrape:
    """Families made beforehand, in the shape that a registry takes."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        return self._families


def _gauge(name: str, text: str, value: float) -> Metric:
    family = GaugeMetricFamily(name, text)
    family.add_metric([], value)
    return family
