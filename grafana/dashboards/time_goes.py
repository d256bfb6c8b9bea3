"""Where time goes: gateway queue, engine queue, prefill or decode?"""

from dataclasses import replace

from grafana.dashboard import Dashboard, Row
from grafana.panels import BAD, GOOD, IDLE, NOTICE, Count, heatmap, lines, promise, stacked
from grafana.queries import common, engine, gateway
from grafana.variations import by_meaning

UNTIL_THE_FIRST_TOKEN = Row(
    "Until the first token",
    (
        stacked(
            "What the first token waits for",
            (gateway.QUEUE_MEAN, gateway.OVERHEAD, engine.TTFT_API_SERVER, engine.TTFT_QUEUE, engine.TTFT_PREFILL),
            "s",
            "Means, which may be added. Queue and prefill are booked when a request ends, so with long answers the"
            " parts do not belong to the same requests.\nA queue: see What limits it. Prefill: long prompts."
            " Tokenize, or the gateway's rest: a processor is the limit; see the last row.",
        ),
        promise(
            "Time to first token",
            gateway.TTFT_QUANTILES,
            "s",
            2.5,
            "At the gateway, as clients see it. The dashed line is the promise: 2.5 s for 95 of 100."
            "\nOnly p99 high: single long prompts. All high: a queue; see runbook TtftSloBurn.",
        ),
        heatmap(
            "Time to first token, in the engine",
            engine.TTFT_SPREAD,
            "s",
            "How many requests got their first token within each span, the gateway's part left out.\nTwo bands:"
            " short and long prompts, or cached and uncached ones. A band that climbs: the queue grows.",
        ),
    ),
)

THE_WHOLE_ANSWER = Row(
    "The whole answer",
    (
        stacked(
            "What an answer's time is made of",
            (gateway.QUEUE_MEAN, engine.TTFT_QUEUE, engine.TTFT_PREFILL, engine.DECODE_TIME),
            "s",
            "Means of the requests that finish now: waiting at the gateway, waiting in the engine, reading the"
            " prompt, writing the answer.\nMostly decode is as it should be. Preemptions hide in decode: see the"
            " dashboard Batch and KV cache.",
        ),
        lines(
            "Time between tokens",
            engine.ITL_QUANTILES,
            "s",
            "What an answer feels like after its first token: 0.1 s is 10 tokens a second.\np95 far above the mean:"
            " long prompts push in between; lower max_num_batched_tokens.",
        ),
        lines(
            "p95 of each part",
            (*engine.PHASE_P95, *gateway.DURATION_P95),
            "s",
            "19 of 20 requests took no longer for this part; the last line is the whole at the gateway. Quantiles do"
            " not add up.\nThe part whose line follows the whole answer's is the one to work on.",
        ),
    ),
)

THREE_PLACES = Row(
    "Seen from three places",
    (
        lines(
            "First token: client, gateway, engine",
            (gateway.CLIENT_TTFT, gateway.TTFT_MEAN, engine.TTFT_MEAN),
            "s",
            "Mean time to first token where it is measured: in the load test's client, at the gateway, in the engine."
            "\nClient far above gateway: the network, or a client that is too slow to be believed. Gateway far above"
            " engine: its queue, or its processor.",
        ),
        lines(
            "Processor time of the Python parts",
            (engine.API_SERVER_CPU, gateway.CPU),
            Count("cores"),
            "Cores used by the engine's API server, which tokenizes and hands tokens over, and by the gateway. Each"
            " can use little more than one.\nNear 1: it is the limit, not the GPU; give it a faster core, or run a"
            " second one.",
        ),
        by_meaning(
            lines(
                "How requests ended in the engine",
                (engine.FINISHED,),
                "reqps",
                "stop: the model was done; length: max_tokens reached; abort: the client left; error: the engine"
                " failed.\nMany abort: answers are too slow. Any error: see runbook VllmEngineErrors.",
            ),
            {"stop": GOOD, "length": "blue", "abort": IDLE, "error": BAD, "repetition": NOTICE},
        ),
    ),
)

LOAD_TEST = Row(
    "Load test",
    (
        replace(
            by_meaning(
                lines(
                    "Users and requests of the load test",
                    (common.LOAD_TEST_USERS, common.LOAD_TEST_REQUESTS),
                    Count("users, requests a second"),
                    "Active users, and requests per second by outcome, as the load test counts them. Its stages are the"
                    " purple lines on every panel.\nOutcomes other than ok: see the load test's report for what they"
                    " were.",
                ),
                {"ok": GOOD, "[a-z]+_.+": NOTICE},
            ),
            width=12,
            no_value="No load test",
        ),
        replace(
            lines(
                "p95 at client and gateway",
                (gateway.CLIENT_TTFT_P95, gateway.TTFT_QUANTILES[1]),
                "s",
                "Time to first token for 19 of 20, at the client and at the gateway. Interpolated in different"
                " buckets, so small differences mean nothing.\nA gap that grows with users: the client's machine or"
                " the network.",
            ),
            width=12,
            no_value="No load test",
        ),
    ),
)

TIME_GOES = Dashboard(
    uid="where-time-goes",
    title="Where time goes",
    description="Gateway queue, engine queue, prefill, decode: which of them does a person wait for?",
    rows=(UNTIL_THE_FIRST_TOKEN, THE_WHOLE_ANSWER, THREE_PLACES, LOAD_TEST),
)
