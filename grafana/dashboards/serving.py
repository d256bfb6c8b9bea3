"""The first dashboard, in the order of the questions: is it well, is the batch full, is the KV cache the limit, where
does the time go."""

from grafana import queries as q
from grafana.dashboard import Dashboard, Row
from grafana.panels import BAD, GOOD, IDLE, NOTICE, TOKENS_PER_SECOND, lines, share, stacked, stat, states, steps

LIMITS = {
    0: ("idle", IDLE),
    1: ("room left", GOOD),
    2: ("all slots taken", "blue"),
    3: ("KV cache full", NOTICE),
    4: ("step budget", "purple"),
}

IS_IT_WELL = Row(
    "Is it well?",
    (
        stat(
            "Engines up",
            q.ENGINES_UP,
            "none",
            steps(BAD, (1, GOOD)),
            "Engines the gateway can use.\n0: nobody is served; see runbook VllmDown. Fewer than you started: one is"
            " still loading its model or has died.",
            no_value="No gateway",
        ),
        stat(
            "Failed requests",
            q.ERROR_SHARE,
            "percentunit",
            steps(GOOD, (0.001, NOTICE), (0.01, BAD)),
            "Share of requests that ended without their answer, over 5 minutes: an engine broke, was silent or cut the"
            " stream, or none was up.\nAbove 1 %: see runbook GatewayErrors and the panel Requests by outcome.",
        ),
        stat(
            "First token, p95",
            q.TTFT_P95,
            "s",
            steps(GOOD, (1, NOTICE), (5, BAD)),
            "19 of 20 requests got their first token within this time, measured in the engine, over 5 minutes.\n"
            "High: look at the panel What the first token waits for.",
        ),
        stat(
            "Output",
            q.OUTPUT_RATE,
            TOKENS_PER_SECOND,
            steps("blue"),
            "Tokens generated per second for everybody together, over 1 minute.\nFalls while requests run: see runbook"
            " VllmStalled.",
        ),
        stat(
            "One user sees",
            q.USER_RATE,
            TOKENS_PER_SECOND,
            steps(BAD, (5, NOTICE), (10, GOOD)),
            "Speed of one answer after its first token, mean of the requests that finished. People read about 5 tokens"
            " a second.\nLow with a full batch: fewer slots make each answer faster, and the queue longer.",
        ),
        stat(
            "Alerts firing",
            q.ALERTS_FIRING,
            "none",
            steps(GOOD, (1, BAD)),
            "Alerts of all deployments that fire now.\nAbove 0: open Prometheus, page Alerts; each links its heading"
            " in docs/runbook.md.",
        ),
        states(
            "What limits it",
            q.LIMIT_STATE,
            LIMITS,
            "Why requests wait, if they do. Room left: the limit is the number of users. All slots taken: raise"
            " max_num_seqs while KV cache is free. KV cache full: less context, a smaller KV type, more GPU memory."
            "\nStep budget: requests wait although slots and cache are free, usually behind long prompts: raise"
            " max_num_batched_tokens.",
        ),
    ),
)

IS_THE_BATCH_FULL = Row(
    "Is the batch full?",
    (
        lines(
            "Requests and slots",
            (q.RUNNING, q.WAITING, q.SLOTS),
            "short",
            "Requests in the batch, requests waiting, and the slots of all engines that are up (max_num_seqs). Sampled"
            " every 5 s, so short requests may pass unseen.\nWaiting with running below the slots: KV cache or step"
            " budget is the limit, not the slots.",
        ),
        share(
            "Share of slots and step budget in use",
            (q.SLOTS_IN_USE, q.STEP_BUDGET_IN_USE),
            0.98,
            "Slots in use, and mean tokens per step against max_num_batched_tokens. A full batch is the aim, not a"
            " fault. A long prompt is booked whole in its last step, so the second line may pass 100 %.\nAt 100 %"
            " with a queue: see What limits it.",
        ),
        lines(
            "Inside one step",
            (q.SEQUENCES_PER_STEP, q.PROMPT_TOKENS_PER_STEP),
            "short",
            "Sequences that got a token in a mean step: the batch the GPU really works on. And prompt tokens read in"
            " the same step.\nFew sequences while many run: prefill takes the steps; prompt tokens say so.",
        ),
    ),
)

IS_THE_KV_CACHE_THE_LIMIT = Row(
    "Is the KV cache the limit?",
    (
        share(
            "KV cache in use",
            (q.KV_USAGE,),
            0.9,
            "Share held by running requests, in the fullest engine; cached prefixes count as free. Near 100 % is"
            " healthy under load.\nA fault only together with Why requests wait or Preemptions: see runbook"
            " VllmKvCacheSaturated.",
            width=6,
        ),
        lines(
            "Why requests wait",
            (q.WAITING_BY_REASON, q.PREEMPTIONS),
            "short",
            "Waiting requests by reason (capacity: slots, step budget or KV cache; deferred: LoRA or KV transfer), and"
            " preemptions per second: work thrown away and done again.\nPreemptions that last: see runbook"
            " VllmPreempting.",
            width=6,
        ),
        share(
            "Prompt tokens found in the cache",
            (q.CACHED_PROMPT_SHARE,),
            1,
            "Share of prompt tokens whose keys and values were still there, over 5 minutes: prefill that is free."
            "\nFell: prompts no longer start alike (a date in the system prompt?) or the cache is too small to keep"
            " them.",
            width=6,
            color="transparent",
        ),
        lines(
            "More typical requests that fit",
            (q.REQUESTS_THAT_FIT,),
            "short",
            "Free KV cache divided by the mean prompt and answer of the requests that finish now. The cache's size is"
            " the plan's prediction.\nNear 0: new requests will wait or preempt others.",
            width=6,
        ),
    ),
)

WHERE_DOES_TIME_GO = Row(
    "Where does the time go?",
    (
        lines(
            "Time to first token",
            q.TTFT_QUANTILES,
            "s",
            "Measured in the engine, from arrival to first token; interpolated in vLLM's buckets (100, 250, 500 ms,"
            " ...).\nOnly p99 high: single long prompts. All high: the queue; see the panel on the right.",
            width=6,
        ),
        stacked(
            "What the first token waits for",
            (q.TTFT_GATEWAY, q.TTFT_API_SERVER, q.TTFT_QUEUE, q.TTFT_PREFILL),
            "s",
            "Means, which may be added. Queue and prefill are booked when a request ends, so with long answers the"
            " parts do not belong to the same requests.\nQueue: see What limits it. Prefill: long prompts. API server"
            " or gateway: the CPU is the limit.",
            width=6,
        ),
        lines(
            "Time between tokens",
            q.ITL_QUANTILES,
            "s",
            "What an answer feels like after its first token: 0.1 s is 10 tokens a second.\np95 far above the mean:"
            " long prompts push in between; lower max_num_batched_tokens.",
            width=6,
        ),
        stacked(
            "Requests by outcome",
            (q.REQUESTS_BY_OUTCOME,),
            "reqps",
            "How requests ended at the gateway. ok: a whole answer; refused, engine_rejected: the client's mistake;"
            " overloaded: 429, come back later.\nAny engine_..., cut, no_engine or internal: see runbook"
            " GatewayErrors. Many client_gone: answers are too slow.",
            width=6,
        ),
    ),
)

SERVING = Dashboard(
    uid="serving",
    title="Serving",
    description="Is it well, is the batch full, is the KV cache the limit, where does the time go?",
    rows=(IS_IT_WELL, IS_THE_BATCH_FULL, IS_THE_KV_CACHE_THE_LIMIT, WHERE_DOES_TIME_GO),
)
