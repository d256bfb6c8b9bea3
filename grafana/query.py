"""Builds queries from selectors, rates, means and quantiles. Knows no metric; grafana/queries/ does.

Conventions, so that a reading means the same on every panel:

* one deployment at a time (`$deployment`), so legends need no prefix and denominators fit their numerators;
* `$model` narrows what is counted by model. Slots and KV cache belong to engines, not to models: they show all;
* what prometheus/rules records is drawn from there; `$__rate_interval` is for lines a person zooms into;
* `$__range` is for what is counted over all the time that is shown;
* every divisor and every quantile is `> 0`: without traffic a panel shows its `noValue`, never NaN;
* means are exact, quantiles are interpolated inside the buckets; only means may be subtracted from each other.
"""

from dataclasses import dataclass

DEPLOYMENT = 'deployment="$deployment"'


@dataclass(frozen=True)
class Query:
    """One line of a panel. `empty_when` says why a healthy stack may return no series for it; None: never empty."""

    expr: str
    legend: str
    empty_when: str | None = None


def series(name: str, *matchers: str) -> str:
    return f"{name}{{{', '.join((DEPLOYMENT, *of_model(name), *matchers))}}}"


def of_model(name: str) -> tuple[str, ...]:
    """vLLM's label and the gateway's differ; what has no model is left alone."""
    if name.startswith("vllm:"):
        return () if name in _ENGINE_ONLY else ('model_name=~"$model"',)
    return ('model=~"$model"',) if name.startswith(_BY_MODEL) else ()


_ENGINE_ONLY = ("vllm:cache_config_info",)
_BY_MODEL = (
    "gateway_requests_total", "gateway_time_to_first_token", "gateway_request_duration", "gateway_queue_",
    "gateway_admission_limit", "gateway_requests_running", "gateway_tokens_total", "gateway_request_time_per_",
    "gateway_drain_rate", "gateway_model_state", "gateway_model_waiting", "gateway_model_first", "gateway_model_load",
)  # fmt: skip


def rate(counter: str, *matchers: str, by: str = "deployment") -> str:
    return f"sum by ({by}) (rate({series(counter, *matchers)}[$__rate_interval]))"


def increase(counter: str, *matchers: str, by: str = "deployment") -> str:
    return f"sum by ({by}) (increase({series(counter, *matchers)}[$__rate_interval]))"


def over_all(counter: str, by: str = "deployment") -> str:
    """How much it grew in the time that the dashboard shows."""
    return f"sum by ({by}) (increase({series(counter)}[$__range]))"


def mean(histogram: str) -> str:
    return f"{rate(f'{histogram}_sum')} / ({rate(f'{histogram}_count')} > 0)"


def quantile(q: float, histogram: str) -> str:
    return f"histogram_quantile({q}, {rate(f'{histogram}_bucket', by='deployment, le')}) > 0"


def quantiles(histogram: str, *qs: float, empty_when: str | None = None) -> tuple[Query, ...]:
    return tuple(Query(quantile(q, histogram), f"p{round(q * 100)}", empty_when) for q in qs)


def out_of(value: str, whole: str, label: str, legend: str, empty_when: str | None = None) -> Query:
    """`value` with `whole` as words: "64 slots, in use:" and "38". PromQL turns a value into a label that way."""
    named = f'count_values by (deployment) ("{label}", {whole})'
    return Query(f"({value}) * on (deployment) group_left ({label}) {named}", legend, empty_when)


def per(value: str, divisor: str) -> str:
    return f"({value}) / (({divisor}) > 0)"


def buckets(histogram: str) -> str:
    """For a heat map: how many fell into each bucket, not up to it."""
    return increase(f"{histogram}_bucket", by="le")
