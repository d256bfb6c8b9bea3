"""The series of models that take turns on a card, with unit, labels and help. None where no model does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from gateway.telemetry.turn_metrics import STATES, TurnMetrics

Where = TypeVar("Where", bound=tuple[str, ...])


def families(deployment: str, turns: TurnMetrics) -> Iterator[Metric]:
    """Those of all cards."""
    if not turns.lost:
        return
    states = {(model, state): float(state == now) for model, now in turns.states.items() for state in STATES}
    text = "1 for the state that a model of a turn group is in: stopped, loading, ready, asleep, failed."
    yield _gauge(deployment, "gateway_model_state", text, ("model", "state"), states)
    waiting = {(model,): float(count) for model, count in turns.waiting.items()}
    text = "Requests that wait for a model that takes turns with others."
    yield _gauge(deployment, "gateway_model_waiting", text, ("model",), waiting)
    first = {(model,): seconds for model, seconds in turns.first_wait.items()}
    text = "How long the first of them has waited; 0 where nobody waits."
    yield _gauge(deployment, "gateway_model_first_wait_seconds", text, ("model",), first)
    text = "Switches to a model, by what brought them: the one before was idle, somebody's patience, an operator."
    yield _counter(deployment, "gateway_model_switches", text, ("to", "reason"), turns.switches)
    text = "Loads that came to nothing, and engines that ended by themselves, by what went wrong."
    yield _counter(deployment, "gateway_model_load_failures", text, ("model", "why"), turns.failures)
    text = "Seconds in which a card served nobody new: answers ran out, or models were switched."
    yield _counter(deployment, "gateway_card_lost_seconds", text, ("card",), {(k,): v for k, v in turns.lost.items()})
    text = "From a card's being free to a token of its next model, by kind of load: wake or cold."
    loads = HistogramMetricFamily("gateway_model_load_seconds", text, labels=["deployment", "model", "kind"])
    for where, histogram in turns.loads.items():
        names = [*(str(bound) for bound in histogram.bounds), "+Inf"]
        counts = list(zip(names, accumulate(histogram.counts), strict=True))
        loads.add_metric([deployment, *where], counts, histogram.sum)
    yield loads


def _gauge(deployment: str, name: str, text: str, labels: tuple[str, ...], values: Mapping[Where, float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=["deployment", *labels])
    for where, value in values.items():
        family.add_metric([deployment, *where], value)
    return family


def _counter(deployment: str, name: str, text: str, labels: tuple[str, ...], values: Mapping[Where, float]) -> Metric:
    family = CounterMetricFamily(name, text, labels=["deployment", *labels])
    for where, value in values.items():
        family.add_metric([deployment, *where], value)
    return family
