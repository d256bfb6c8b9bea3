"""Batch and KV cache: is the batch or the cache full, and what would more users need?"""

from dataclasses import replace

from grafana.dashboard import Dashboard, Row
from grafana.dashboards.verdicts import what_limits_it, what_more_users_need
from grafana.panels import (
    BAD,
    GOOD,
    NOTICE,
    REQUESTS,
    TOKENS,
    TOKENS_PER_SECOND,
    Count,
    heatmap,
    labels_table,
    lines,
    out_of,
    share,
    stacked,
    stat,
    steps,
)
from grafana.queries import engine

THE_ANSWER = Row(
    "More KV memory, a bigger batch, or another GPU?",
    (
        replace(what_more_users_need(), width=6),
        replace(
            out_of(
                "Requests in the batch",
                engine.RUNNING_OF_SLOTS,
                "none",
                "Requests in the batch, of the slots the plan gave all engines that are up (max_num_seqs)."
                "\nFull with a queue, and the KV cache is not: raise max_num_seqs.",
            ),
            width=5,
        ),
        replace(
            out_of(
                "KV cache, tokens in use",
                engine.KV_OF_TOKENS,
                "suffix:k",
                "Tokens of running requests in the KV cache, of the tokens the plan says it holds. The fullest engine's"
                " share counts for all.\nFull with a queue: more KV memory; see runbook VllmKvCacheSaturated.",
            ),
            width=5,
        ),
        replace(
            out_of(
                "Tokens of a mean step",
                engine.STEP_OF_BUDGET,
                "short",
                "Tokens of a mean engine step, prompt and answer, of max_num_batched_tokens. A long prompt is booked"
                " whole in its last step.\nNear the budget with a queue and free slots: raise"
                " max_num_batched_tokens.",
            ),
            width=4,
        ),
        stat(
            "Preemptions",
            engine.PREEMPTIONS_PER_REQUEST,
            "percentunit",
            steps(GOOD, (0.01, NOTICE), (0.05, BAD)),
            "Requests thrown out of the KV cache and computed again, per finished request, over 5 minutes."
            "\nAbove 5 %: the batch is larger than the cache can hold; see runbook VllmPreempting.",
        ),
        what_limits_it(),
    ),
)

IS_THE_BATCH_FULL = Row(
    "Is the batch full?",
    (
        lines(
            "Requests and slots",
            (engine.RUNNING, engine.WAITING, engine.SLOTS),
            REQUESTS,
            "Requests in the batch, requests waiting, and the slots. Sampled every 5 s.\nRunning at the slots"
            " with a queue: the batch is full. Running below them with a queue: the KV cache or the step budget"
            " is.",
        ),
        share(
            "Slots and step budget in use",
            (engine.SLOTS_IN_USE, engine.STEP_BUDGET_IN_USE),
            0.98,
            "Slots in use, and mean tokens per step against max_num_batched_tokens. A full batch is the aim, not"
            " a fault. A long prompt is booked whole in its last step, so the second line may pass 100 %.\nAt"
            " 100 % with a queue: see What more users would need.",
        ),
        lines(
            "What the engine does in one step",
            (engine.SEQUENCES_PER_STEP, engine.PROMPT_TOKENS_PER_STEP),
            Count("sequences, tokens"),
            "Sequences that got a token in a mean step: the batch the GPU really works on. And prompt tokens"
            " read in the same step.\nFew sequences while many run: prefill takes the steps; prompt tokens say"
            " so.",
        ),
    ),
)

IS_THE_KV_CACHE_THE_LIMIT = Row(
    "Is the KV cache the limit?",
    (
        lines(
            "KV cache, tokens",
            (engine.KV_TOKENS_USED, engine.KV_TOKENS),
            TOKENS,
            "Tokens of running requests, and what the cache holds by the plan. Cached prefixes count as free."
            " Near its size is healthy under load.\nA fault only with requests waiting or preempted: see runbook"
            " VllmKvCacheSaturated.",
        ),
        lines(
            "Why requests wait",
            (engine.WAITING_BY_REASON, engine.PREEMPTIONS),
            REQUESTS,
            "Waiting requests of the engines by reason (capacity: slots, step budget or KV cache; deferred: LoRA"
            " or KV transfer), and preemptions per second: work thrown away.\nPreemptions that last: see runbook"
            " VllmPreempting.",
        ),
        lines(
            "More typical requests that fit",
            (engine.REQUESTS_THAT_FIT,),
            REQUESTS,
            "Free KV cache divided by the mean prompt and answer of the requests that finish now. The cache's"
            " size is the plan's.\nNear 0: new requests will wait or throw others out.",
        ),
    ),
)

DOES_THE_PREFIX_CACHE_HELP = Row(
    "Does the prefix cache help?",
    (
        share(
            "Prompt tokens found in the cache",
            (engine.CACHED_PROMPT_SHARE,),
            1,
            "Share of prompt tokens whose keys and values were still there, over 5 minutes: prefill that is free."
            "\nFell: prompts no longer start alike (a date in the system prompt?) or the cache is too small to keep"
            " them.",
            color="transparent",
        ),
        stacked(
            "Prompt tokens by source",
            (engine.PROMPT_TOKENS_BY_SOURCE,),
            TOKENS_PER_SECOND,
            "Prompt tokens per second: computed here, or found in the cache.\nlocal_compute is what prefill really"
            " costs: if it grows while users do not, prompts became longer or stopped sharing their beginning.",
        ),
        lines(
            "Length of a typical request",
            (engine.MEAN_PROMPT, engine.MEAN_PREFILLED, engine.MEAN_ANSWER),
            TOKENS,
            "Mean length of prompt and answer, and the part of the prompt that had to be computed.\nLonger than the"
            " plan assumed (half of the context): fewer requests fit the cache; make the plan anew with the real"
            " length.",
        ),
    ),
)

DO_DRAFTS_HELP = Row(
    "Do drafts help? (speculative decoding)",
    (
        share(
            "Drafted tokens that were right",
            (engine.DRAFTS_ACCEPTED,),
            1,
            "Share of the tokens drafted by speculative decoding that the model would have written itself. Empty where"
            " the engine drafts nothing.\nBelow a third: drafting costs more than it saves under load; draft fewer"
            " tokens, or none.",
            color="transparent",
        ),
        lines(
            "Tokens that a draft brings",
            (engine.TOKENS_PER_DRAFT,),
            Count("tokens a draft"),
            "Tokens of a step for a request that had a draft: the model's own, and those accepted before it. 1 is as"
            " without drafting.\nNear 1: switch it off; it takes the batch's room.",
        ),
        share(
            "Right, by place in the draft",
            (engine.ACCEPTED_BY_POSITION,),
            1,
            "How often a draft was right up to its first, second, third token, of all drafts.\nThe last places near 0:"
            " draft fewer tokens (num_speculative_tokens).",
            color="transparent",
        ),
    ),
    collapsed=True,
)

IN_THE_ENGINE = Row(
    "More of the engine: sizes of steps, repeated preemption, settings",
    (
        replace(
            heatmap(
                "Tokens of a step",
                engine.STEP_SIZES,
                "short",
                "How many steps had up to so many tokens. One row near the number of running requests is steady"
                " decoding; a second, higher one is prefill.\nMost steps in the prefill row: answers wait for"
                " prompts; shorter prompts or shared beginnings help.",
            ),
            width=12,
        ),
        replace(
            share(
                "Preempted twice or more",
                (engine.PREEMPTED_TWICE,),
                0.01,
                "Of the requests that finished. vLLM counts none and one together, so one preemption cannot be told"
                " from none here.\nAbove 1 %: requests push each other out in turns; lower max_num_seqs until it"
                " ends.",
            ),
            width=12,
        ),
        labels_table(
            "Engine settings",
            engine.ENGINE_SETTINGS,
            {
                "instance": "Engine",
                "kv_cache_size_tokens": "KV cache, tokens",
                "num_gpu_blocks": "Blocks",
                "block_size": "Tokens a block",
                "cache_dtype": "KV type",
                "enable_prefix_caching": "Prefix caching",
                "gpu_memory_utilization": "Share of GPU memory",
                "kv_cache_max_concurrency": "Requests of full length",
            },
            "What the engine reports of its cache: the truth, where the plan is a prediction.\nTokens far from the"
            " plan's: fullbatch status shows both; the plan's assumptions say what may be off.",
        ),
    ),
    collapsed=True,
)

BATCH = Dashboard(
    uid="batch-and-kv-cache",
    title="Batch and KV cache",
    description="Is the batch full, is the KV cache the limit, and what would more users need?",
    rows=(
        THE_ANSWER,
        IS_THE_BATCH_FULL,
        IS_THE_KV_CACHE_THE_LIMIT,
        DOES_THE_PREFIX_CACHE_HELP,
        DO_DRAFTS_HELP,
        IN_THE_ENGINE,
    ),
)
