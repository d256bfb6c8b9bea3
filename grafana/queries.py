"""Every series a dashboard draws. The only file under grafana/ that names a metric.

Conventions, so that a reading means the same on every panel:

* one deployment at a time (`$deployment`), so legends need no prefix and denominators fit their numerators;
* what prometheus/rules records is drawn from there; `$__rate_interval` is for lines a person zooms into;
* every divisor and every quantile is `> 0`: without traffic a panel shows its `noValue`, never NaN;
* means are exact, quantiles are interpolated inside vLLM's buckets; only means may be subtracted from each other.
"""

from dataclasses import dataclass

SELECTOR = 'deployment="$deployment"'


@dataclass(frozen=True)
class Query:
    """One line of a panel. `empty_when` says why a healthy stack may return no series for it; None: never empty."""

    expr: str
    legend: str
    empty_when: str | None = None


def series(name: str, *matchers: str) -> str:
    return f"{name}{{{', '.join((SELECTOR, *matchers))}}}"


def rate(counter: str, *matchers: str, by: str = "deployment") -> str:
    return f"sum by ({by}) (rate({series(counter, *matchers)}[$__rate_interval]))"


def mean(histogram: str) -> str:
    return f"{rate(f'{histogram}_sum')} / ({rate(f'{histogram}_count')} > 0)"


def quantile(q: float, histogram: str) -> str:
    return f"histogram_quantile({q}, {rate(f'{histogram}_bucket', by='deployment, le')}) > 0"


def quantiles(histogram: str, *qs: float) -> tuple[Query, ...]:
    return tuple(Query(quantile(q, histogram), f"p{round(q * 100)}") for q in qs)


TTFT = "vllm:time_to_first_token_seconds"
QUEUE = "vllm:request_queue_time_seconds"
PREFILL = "vllm:request_prefill_time_seconds"
ITL = "vllm:inter_token_latency_seconds"
TPOT = "vllm:request_time_per_output_token_seconds"
STEP = "vllm:iteration_tokens_total"  # a histogram, in spite of its name: tokens per engine step
GATEWAY_TTFT = "gateway_time_to_first_token_seconds"

DEPLOYMENTS = 'label_values(up{job=~"gateway|vllm"}, deployment)'
ENGINE_STARTS = "changes(" + series("process_start_time_seconds", 'job="vllm"') + "[1m]) > 0"

ENGINES_UP = Query(series("deployment:gateway_engines_up:count"), "engines")
ERROR_SHARE = Query(series("deployment:gateway_errors:ratio_rate5m"), "failed")
TTFT_P95 = Query(series("deployment:vllm_time_to_first_token_seconds:p95_5m"), "p95")
OUTPUT_RATE = Query(series("deployment:vllm_generation_tokens:rate1m"), "tok/s")
USER_RATE = Query(f"1 / (({mean(TPOT)}) > 0)", "tok/s")
ALERTS_FIRING = Query('sum(ALERTS{alertstate="firing"}) or vector(0)', "firing")
LIMIT_STATE = Query(series("deployment:vllm_limit:state"), "limit")

RUNNING = Query(series("deployment:vllm_requests_running:sum"), "running")
WAITING = Query(series("deployment:vllm_requests_waiting:sum"), "waiting")
SLOTS = Query(series("deployment:gateway_engine_slots:sum"), "slots")
SLOTS_IN_USE = Query(series("deployment:vllm_slots_in_use:ratio"), "slots")
STEP_BUDGET_IN_USE = Query(
    f"({mean(STEP)}) / {series('deployment:gateway_engine_step_tokens:max')}", "tokens of one step"
)
SEQUENCES_PER_STEP = Query(
    f"{rate('vllm:generation_tokens_total')} / ({rate(f'{STEP}_count')} > 0)", "sequences that got a token"
)
PROMPT_TOKENS_PER_STEP = Query(
    f"({rate(f'{STEP}_sum')} - {rate('vllm:generation_tokens_total')}) / ({rate(f'{STEP}_count')} > 0)",
    "prompt tokens",
)

KV_USAGE = Query(series("deployment:vllm_kv_cache_usage:max"), "in use")
WAITING_BY_REASON = Query(
    f"sum by (reason) ({series('vllm:num_requests_waiting_by_reason')})", "waiting for {{reason}}"
)
PREEMPTIONS = Query(rate("vllm:num_preemptions_total"), "preemptions per second")
CACHED_PROMPT_SHARE = Query(series("deployment:vllm_prefix_cache_hits:ratio_rate5m"), "from the cache")
REQUESTS_THAT_FIT = Query(
    f"(1 - {KV_USAGE.expr}) * {series('deployment:gateway_engine_kv_cache_tokens:sum')}"
    f" / (({mean('vllm:request_prompt_tokens')}) + ({mean('vllm:request_generation_tokens')}))",
    "requests",
)

TTFT_QUANTILES = quantiles(TTFT, 0.5, 0.95, 0.99)
ITL_QUANTILES = (Query(mean(ITL), "mean"), *quantiles(ITL, 0.95))
TTFT_QUEUE = Query(mean(QUEUE), "queue")
TTFT_PREFILL = Query(mean(PREFILL), "prefill")
TTFT_API_SERVER = Query(
    f"clamp_min(({mean(TTFT)}) - ({mean(QUEUE)}) - ({mean(PREFILL)}), 0)", "API server (tokenize, hand over)"
)
TTFT_GATEWAY = Query(f"clamp_min(({mean(GATEWAY_TTFT)}) - ({mean(TTFT)}), 0)", "gateway")
REQUESTS_BY_OUTCOME = Query(rate("gateway_requests_total", by="outcome"), "{{outcome}}")
