"""The engine: batch, KV cache, prefix cache, and how long each part of an answer takes in it."""

from grafana.query import Query, buckets, mean, out_of, per, quantiles, rate, series

TTFT = "vllm:time_to_first_token_seconds"
QUEUE = "vllm:request_queue_time_seconds"
PREFILL = "vllm:request_prefill_time_seconds"
DECODE = "vllm:request_decode_time_seconds"
ITL = "vllm:inter_token_latency_seconds"
TPOT = "vllm:request_time_per_output_token_seconds"
E2E = "vllm:e2e_request_latency_seconds"
STEP = "vllm:iteration_tokens_total"  # a histogram, in spite of its name: tokens per engine step
GENERATED = "vllm:generation_tokens_total"

_RUNNING = series("deployment:vllm_requests_running:sum")
_SLOTS = series("deployment:gateway_engine_slots:sum")
_KV_SIZE = series("deployment:gateway_engine_kv_cache_tokens:sum")
_KV_SHARE = series("deployment:vllm_kv_cache_usage:max")
_STEP_BUDGET = series("deployment:gateway_engine_step_tokens:max")
_KV_USED = f"{_KV_SHARE} * {_KV_SIZE}"

OUTPUT_RATE = Query(series("deployment:vllm_generation_tokens:rate1m"), "output")
PROMPT_RATE = Query(series("deployment:vllm_prompt_tokens:rate1m"), "prompt, cached ones included")
USER_RATE = Query(f"1 / (({mean(TPOT)}) > 0)", "mean of the answers that end")

# The batch
RUNNING = Query(_RUNNING, "running")
WAITING = Query(series("deployment:requests_waiting:sum"), "waiting, here or at the gateway")
SLOTS = Query(_SLOTS, "slots")
RUNNING_OF_SLOTS = out_of(_RUNNING, _SLOTS, "slots", "{{slots}} slots, in use:")
SLOTS_IN_USE = Query(series("deployment:vllm_slots_in_use:ratio"), "slots")
STEP_BUDGET_IN_USE = Query(f"({mean(STEP)}) / {_STEP_BUDGET}", "tokens of one step")
STEP_OF_BUDGET = out_of(mean(STEP), _STEP_BUDGET, "budget", "{{budget}} at most, in use:")
SEQUENCES_PER_STEP = Query(per(rate(GENERATED), rate(f"{STEP}_count")), "sequences that got a token")
PROMPT_TOKENS_PER_STEP = Query(
    f"clamp_min({rate(f'{STEP}_sum')} - {rate(GENERATED)}, 0) / ({rate(f'{STEP}_count')} > 0)", "prompt tokens"
)
STEP_SIZES = Query(buckets(STEP), "{{le}}")

# The KV cache
KV_TOKENS_USED = Query(_KV_USED, "tokens in use")
KV_TOKENS = Query(_KV_SIZE, "tokens it holds, as planned")
KV_OF_TOKENS = out_of(f"{_KV_USED} / 1000", f"round({_KV_SIZE} / 1000)", "thousands", "{{thousands}} k tokens, in use:")
WAITING_BY_REASON = Query(
    f"sum by (reason) ({series('vllm:num_requests_waiting_by_reason')})", "in the engine: {{reason}}"
)
PREEMPTIONS = Query(rate("vllm:num_preemptions_total"), "preemptions per second")
PREEMPTIONS_PER_REQUEST = Query(series("deployment:vllm_preemptions_per_request:ratio_rate5m"), "per request")
_NONE_OR_ONE = 'le="1.0"'  # the first bucket; "1" would match nothing
PREEMPTED_TWICE = Query(
    f"1 - {rate('vllm:request_num_preemptions_bucket', _NONE_OR_ONE)}"
    f" / ({rate('vllm:request_num_preemptions_count')} > 0)",
    "preempted twice or more",
)
REQUESTS_THAT_FIT = Query(
    f"(1 - {_KV_SHARE}) * {_KV_SIZE}"
    f" / (({mean('vllm:request_prompt_tokens')}) + ({mean('vllm:request_generation_tokens')}))",
    "requests",
)
ENGINE_SETTINGS = Query(series("vllm:cache_config_info"), "settings")

# The prefix cache
CACHED_PROMPT_SHARE = Query(series("deployment:vllm_prefix_cache_hits:ratio_rate5m"), "from the cache")
PROMPT_TOKENS_BY_SOURCE = Query(rate("vllm:prompt_tokens_by_source_total", by="source"), "{{source}}")
MEAN_PROMPT = Query(mean("vllm:request_prompt_tokens"), "prompt")
MEAN_PREFILLED = Query(mean("vllm:request_prefill_kv_computed_tokens"), "prompt that had to be computed")
MEAN_ANSWER = Query(mean("vllm:request_generation_tokens"), "answer")

# Drafts (speculative decoding)
_NO_DRAFTS = "no drafts are made"
_ACCEPTED = "vllm:spec_decode_num_accepted_tokens_total"
DRAFTS_ACCEPTED = Query(
    per(rate(_ACCEPTED), rate("vllm:spec_decode_num_draft_tokens_total")), "drafted tokens that were right", _NO_DRAFTS
)
TOKENS_PER_DRAFT = Query(
    f"1 + {per(rate(_ACCEPTED), rate('vllm:spec_decode_num_drafts_total'))}", "tokens a draft brings", _NO_DRAFTS
)
ACCEPTED_BY_POSITION = Query(
    f"{rate('vllm:spec_decode_num_accepted_tokens_per_pos_total', by='position')}"
    f" / on () group_left () ({rate('vllm:spec_decode_num_drafts_total', by='')} > 0)",
    "token {{position}} of a draft",
    _NO_DRAFTS,
)

# Where the time goes
TTFT_SPREAD = Query(buckets(TTFT), "{{le}}")
TTFT_MEAN = Query(mean(TTFT), "engine")
TTFT_QUEUE = Query(mean(QUEUE), "engine: queue")
TTFT_PREFILL = Query(mean(PREFILL), "engine: prefill")
TTFT_API_SERVER = Query(
    f"clamp_min(({mean(TTFT)}) - ({mean(QUEUE)}) - ({mean(PREFILL)}), 0)", "engine: tokenize, hand over"
)
DECODE_TIME = Query(mean(DECODE), "engine: decode")
ITL_QUANTILES = (Query(mean(ITL), "mean"), *quantiles(ITL, 0.95, 0.99))
PHASE_P95 = (
    *(Query(one.expr, "queue") for one in quantiles(QUEUE, 0.95)),
    *(Query(one.expr, "prefill") for one in quantiles(PREFILL, 0.95)),
    *(Query(one.expr, "decode") for one in quantiles(DECODE, 0.95)),
    *(Query(one.expr, "whole answer") for one in quantiles(E2E, 0.95)),
)
FINISHED = Query(rate("vllm:request_success_total", by="finished_reason"), "{{finished_reason}}")
API_SERVER_CPU = Query(rate("process_cpu_seconds_total", 'job="vllm"', by="instance"), "API server {{instance}}")
ENGINE_MEMORY = Query(series("process_resident_memory_bytes", 'job="vllm"'), "API server {{instance}}")
