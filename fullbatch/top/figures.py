"""Computes the figures of `top` from two readings. None: not known, shown as a dash. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fullbatch.top.reading import Reading, increase, mean, quantile, rate

FULL_CACHE, FULL_BATCH = 0.9, 0.98  # as in prometheus/rules/serving.yaml, deployment:vllm_limit:state
ALWAYS = "always"
FAILED = ("engine_error", "engine_timeout", "no_engine", "cut", "internal")
_ACCEPTED, _DRAFTS = "vllm:spec_decode_num_accepted_tokens_total", "vllm:spec_decode_num_drafts_total"
_TTFT = ("gateway_time_to_first_token_seconds", "vllm:time_to_first_token_seconds")


@dataclass(frozen=True)
class KeyFigures:
    """One API key, by its name. Requests and tokens are per second."""

    name: str
    running: float | None
    waiting: float | None
    requests: float | None
    tokens: float | None


@dataclass(frozen=True)
class ModelFigures:
    """One of several models. `state`: always, or stopped, loading, ready, asleep, failed of one that takes turns.

    `first_wait_s`: how long the first of those that wait has waited, where it takes turns.
    """

    name: str
    state: str
    running: float | None
    waiting: float | None
    first_wait_s: float | None = None


@dataclass(frozen=True)
class Figures:
    """Tokens and requests are per second where the name says so; times are seconds; shares are 0 to 1.

    `drafts_right_share`: of the tokens that were drafted; `tokens_per_draft`: that a step with a draft brings. None
    where nothing is drafted.
    """

    gateway_answers: bool
    engine_answers: bool
    engines_up: float | None
    running: float | None
    slots: float | None
    waiting_engine: float | None
    waiting_gateway: float | None
    kv_share: float | None
    kv_tokens: float | None
    preemptions_per_s: float | None
    prefix_hit_share: float | None
    drafts_right_share: float | None
    tokens_per_draft: float | None
    ttft_p50_s: float | None
    ttft_p95_s: float | None
    tpot_s: float | None
    output_tokens_per_s: float | None
    prompt_tokens_per_s: float | None
    requests_per_s: float | None
    failed_share: float | None
    limit: str
    keys: tuple[KeyFigures, ...]
    models: tuple[ModelFigures, ...] = ()


def figures(old: Reading, new: Reading) -> Figures:
    up = new.total("gateway_engine_up")
    ttft = next((name for name in _TTFT if increase(old, new, f"{name}_count")), _TTFT[0])
    found = Figures(
        gateway_answers=new.gateway,
        engine_answers=new.engine,
        engines_up=up,
        running=new.total("vllm:num_requests_running"),
        slots=_of_all_up(new, "gateway_engine_max_num_seqs"),
        waiting_engine=new.total("vllm:num_requests_waiting"),
        waiting_gateway=new.total("gateway_queue_depth"),
        kv_share=new.highest("vllm:kv_cache_usage_perc"),
        kv_tokens=_of_all_up(new, "gateway_engine_kv_cache_tokens"),
        preemptions_per_s=rate(old, new, "vllm:num_preemptions_total"),
        prefix_hit_share=_share(old, new, "vllm:prefix_cache_hits_total", "vllm:prefix_cache_queries_total"),
        drafts_right_share=_share(old, new, _ACCEPTED, "vllm:spec_decode_num_draft_tokens_total"),
        tokens_per_draft=_per_draft(old, new),
        ttft_p50_s=quantile(0.5, old, new, ttft),
        ttft_p95_s=quantile(0.95, old, new, ttft),
        tpot_s=mean(old, new, "vllm:inter_token_latency_seconds"),
        output_tokens_per_s=rate(old, new, "vllm:generation_tokens_total"),
        prompt_tokens_per_s=rate(old, new, "vllm:prompt_tokens_total"),
        requests_per_s=rate(old, new, "gateway_requests_total"),
        failed_share=_failed(old, new),
        limit="",
        keys=_keys(old, new),
        models=_models(new),
    )
    return replace(found, limit=_limit(found))


def _of_all_up(new: Reading, planned: str) -> float | None:
    """The plan's number of each engine, times its addresses that are up."""
    up = new.by("gateway_engine_up", "engine_name")
    each = new.by(planned, "engine_name")
    return sum(count * each.get(name, 0.0) for name, count in up.items()) if up and each else None


def _share(old: Reading, new: Reading, part: str, whole: str) -> float | None:
    all_of_it = increase(old, new, whole)
    return (increase(old, new, part) or 0.0) / all_of_it if all_of_it else None


def _per_draft(old: Reading, new: Reading) -> float | None:
    """The model's own token, and those that were right before it."""
    right = _share(old, new, _ACCEPTED, _DRAFTS)
    return None if right is None else 1 + right


def _failed(old: Reading, new: Reading) -> float | None:
    ended = increase(old, new, "gateway_requests_total")
    if not ended:
        return None
    return sum(increase(old, new, "gateway_requests_total", outcome=how) or 0.0 for how in FAILED) / ended


def _models(new: Reading) -> tuple[ModelFigures, ...]:
    """Those of a deployment of several, in the gateway's order; empty for one of one."""
    states = {
        given["model"]: given["state"]
        for given, value in new.samples.get("gateway_model_state", [])
        if value and {"model", "state"} <= given.keys()
    }
    if not states and len(new.by("gateway_engine_max_num_seqs", "engine_name")) < 2:
        return ()
    running, queued = new.by("gateway_requests_running", "model"), new.by("gateway_queue_depth", "model")
    first = new.by("gateway_model_first_wait_seconds", "model")
    return tuple(
        ModelFigures(name, states.get(name, ALWAYS), running.get(name), queued.get(name), first.get(name))
        for name in dict.fromkeys([*queued, *states])
    )


def _keys(old: Reading, new: Reading) -> tuple[KeyFigures, ...]:
    running, waiting = new.by("gateway_key_running", "key"), new.by("gateway_key_waiting", "key")
    names = running.keys() | waiting.keys() | new.by("gateway_key_requests_total", "key").keys()
    keys = [
        KeyFigures(
            name,
            running.get(name),
            waiting.get(name),
            rate(old, new, "gateway_key_requests_total", key=name),
            rate(old, new, "gateway_key_tokens_total", key=name),
        )
        for name in names
    ]
    return tuple(sorted(keys, key=lambda key: (-(key.running or 0) - (key.waiting or 0), -(key.tokens or 0), key.name)))


def _limit(found: Figures) -> str:
    """The same words as the dashboards' "What limits it"."""
    if not found.gateway_answers and not found.engine_answers:
        return "nothing answers"
    if not found.engine_answers:
        return _nobody_there({one.state for one in found.models})
    waiting = (found.waiting_engine or 0) + (found.waiting_gateway or 0)
    if waiting and (found.kv_share or 0) > FULL_CACHE:
        return "KV cache full"
    if waiting and found.slots and (found.running or 0) >= FULL_BATCH * found.slots:
        return "all slots taken"
    if found.waiting_engine:
        return "step budget"
    if waiting:
        return "held at the gateway"
    return "room left" if found.running else "idle"


def _nobody_there(states: set[str]) -> str:
    """Why no engine answers: where models take turns it may be that none is loaded."""
    if "loading" in states:
        return "a model is being loaded"
    return "the engine does not answer" if states <= {ALWAYS} or "ready" in states else "no model is loaded"
