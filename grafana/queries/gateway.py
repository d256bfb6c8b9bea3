"""The gateway: what clients get, who they are, who waits, what is refused, and whether it is the limit itself."""

from grafana.queries.common import NO_STREAM
from grafana.queries.engine import TTFT as ENGINE_TTFT
from grafana.query import Query, mean, over_all, per, quantile, quantiles, rate, series

TTFT = "gateway_time_to_first_token_seconds"
QUEUE_WAIT = "gateway_queue_wait_seconds"
TPOT = "gateway_request_time_per_output_token_seconds"
DURATION = "gateway_request_duration_seconds"

ENGINES_UP = Query(series("deployment:gateway_engines_up:count"), "engines")
ERROR_SHARE = Query(series("deployment:gateway_errors:ratio_rate5m"), "failed")
ERROR_BUDGET = (
    Query(series("deployment:gateway_errors:ratio_rate1h") + " / 0.01", "errors, 1 h"),
    Query(series("deployment:gateway_errors:ratio_rate6h") + " / 0.01", "errors, 6 h"),
    Query(series("deployment:gateway_late_first_tokens:ratio_rate1h") + " / 0.05", "first tokens, 1 h", NO_STREAM),
    Query(series("deployment:gateway_late_first_tokens:ratio_rate6h") + " / 0.05", "first tokens, 6 h", NO_STREAM),
)
TTFT_P95 = Query(series("deployment:gateway_time_to_first_token_seconds:p95_5m"), "p95", NO_STREAM)
TTFT_QUANTILES = quantiles(TTFT, 0.5, 0.95, 0.99, empty_when=NO_STREAM)
TTFT_MEAN = Query(mean(TTFT), "gateway", NO_STREAM)
QUEUE_MEAN = Query(mean(QUEUE_WAIT), "gateway: queue")
OVERHEAD = Query(
    f"clamp_min(({mean(TTFT)}) - ({mean(QUEUE_WAIT)}) - ({mean(ENGINE_TTFT)}), 0)", "gateway: the rest", NO_STREAM
)
CLIENT_TTFT = Query(mean("loadtest_time_to_first_token_seconds"), "client (load test)", "no load test runs")
CLIENT_TTFT_P95 = Query(
    quantile(0.95, "loadtest_time_to_first_token_seconds"), "p95 at the client", "no load test runs"
)
DURATION_P95 = (Query(quantile(0.95, DURATION), "whole answer, at the gateway"),)
TPOT_QUANTILES = quantiles(TPOT, 0.5, 0.95, empty_when="no answer of two tokens or more has ended")

# Keys
KEY_REQUESTS = Query(rate("gateway_key_requests_total", by="key"), "{{key}}")
KEY_TOKENS = Query(rate("gateway_key_tokens_total", by="key"), "{{key}}")
_KEYS_USED = f"count by (deployment) ({over_all('gateway_key_requests_total', by='deployment, key')} > 0)"
KEYS_USED = Query(_KEYS_USED, "keys")
TOKENS_USED = Query(over_all("gateway_key_tokens_total"), "tokens")
TOKENS_PER_KEY = Query(per(over_all("gateway_key_tokens_total"), _KEYS_USED), "tokens a key")
REQUESTS_ENDED = Query(over_all("gateway_key_requests_total"), "requests")
KEY_RUNNING = Query(f"sum by (key) ({series('gateway_key_running')})", "{{key}}")
KEY_WAITING = Query(f"sum by (key) ({series('gateway_key_waiting')})", "{{key}}")
KEY_EXPIRY = Query(
    f"(min by (key) ({series('gateway_key_expiry_timestamp_seconds')} > 0) - time()) / 86400",
    "{{key}}",
    "no key has an end",
)

# The queue
QUEUE_DEPTH = Query(f"sum by (deployment) ({series('gateway_queue_depth')})", "waiting at the gateway")
ADMITTED = Query(f"sum by (deployment) ({series('gateway_requests_running')})", "in the engines")
ADMISSION_LIMIT = Query(f"sum by (deployment) ({series('gateway_admission_limit')})", "may be in the engines")
QUEUE_WAIT_QUANTILES = quantiles(QUEUE_WAIT, 0.5, 0.95)
DRAIN_RATE = Query(f"sum by (deployment) ({series('gateway_drain_rate_requests_per_second')})", "leave per second")
FAIRNESS = Query(series("gateway_fairness_jain_index"), "Jain index")
LIMITED = Query(rate("gateway_limited_total", by="reason"), "{{reason}}", "no limit was met")

# What breaks
REQUESTS_BY_OUTCOME = Query(rate("gateway_requests_total", by="outcome") + " > 0", "{{outcome}}")
RESPONSES = Query(rate("gateway_responses_total", by="code") + " > 0", "{{code}}")
CANCELLED = Query(rate("gateway_cancelled_total", by="stage"), "{{stage}}", "no client has left")
RETRIES = Query(rate("gateway_retries_total", by="engine_name"), "retries at {{engine_name}}", "no retry was needed")
BREAKER = Query(f"max by (address) ({series('gateway_engine_breaker_state')})", "{{address}}")
ENGINE_IN_FLIGHT = Query(f"sum by (address) ({series('gateway_engine_requests_in_flight')})", "{{address}}")
AFFINITY = Query(rate("gateway_affinity_total", by="result"), "{{result}}", "one engine needs no choice")

# Itself
LOOP_LAG = Query(f"max by (deployment) ({series('gateway_event_loop_lag_seconds')})", "worst of 10 to 20 s")
CPU = Query(rate("gateway_process_cpu_seconds_total"), "gateway")
MEMORY = Query(f"max by (deployment) ({series('gateway_process_resident_memory_bytes')})", "gateway")
CONNECTIONS = Query(f"sum by (deployment) ({series('gateway_connections')})", "client connections")
OPEN_FILES = Query(f"max by (deployment) ({series('gateway_process_open_fds')})", "open files")
