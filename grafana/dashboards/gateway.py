"""Gateway: keys, fairness, limits, retries, cancellations, and its own CPU time."""

from dataclasses import replace

from grafana.dashboard import Dashboard, Row
from grafana.panels import (
    BAD,
    GOOD,
    NOTICE,
    REQUESTS,
    TOKENS_PER_SECOND,
    Count,
    lines,
    promise,
    share,
    stacked,
    stat,
    states,
    steps,
)
from grafana.queries import gateway
from grafana.variations import by_meaning, on_the_right, whole

BREAKER = {0: ("takes requests", GOOD), 1: ("is being tried", NOTICE), 2: ("left alone", BAD)}

WHO_USES_IT = Row(
    "Who uses it, in the time shown?",
    (
        replace(
            whole(
                stat(
                    "Keys in use",
                    gateway.KEYS_USED,
                    "none",
                    steps("blue"),
                    "Keys with at least one request in the time shown: choose 24 hours for a day.\nMore than you gave"
                    " out: a key was handed on; `fullbatch keys list` says when each was last used.",
                )
            ),
            width=6,
            instant=True,
        ),
        replace(
            whole(
                stat(
                    "Requests",
                    gateway.REQUESTS_ENDED,
                    "short",
                    steps("blue"),
                    "Requests of all keys that ended in the time shown.\nOf each key and day: fullbatch usage, or its"
                    " owner's page /me.",
                )
            ),
            width=6,
            instant=True,
        ),
        replace(
            whole(
                stat(
                    "Tokens",
                    gateway.TOKENS_USED,
                    "short",
                    steps("blue"),
                    "Prompt and answer tokens of all keys in the time shown.\nMuch more than you thought: Tokens by"
                    " key, below, says who.",
                )
            ),
            width=6,
            instant=True,
        ),
        replace(
            whole(
                stat(
                    "Tokens of one key",
                    gateway.TOKENS_PER_KEY,
                    "short",
                    steps("blue"),
                    "Tokens of the time shown, divided by the keys in use.\nFar from what most have: one key uses"
                    " nearly all of it.",
                )
            ),
            width=6,
            instant=True,
        ),
        stacked(
            "Requests by key",
            (gateway.KEY_REQUESTS,),
            "reqps",
            "Requests that ended, by the name of their key; beyond 100 names they are counted as other.\nA key that"
            " surprises you: take it out of the key file; it is refused from then on.",
        ),
        stacked(
            "Tokens by key",
            (gateway.KEY_TOKENS,),
            TOKENS_PER_SECOND,
            "Prompt and answer tokens per second, by key: who uses the GPU.\nOne key with nearly all of it while"
            " others wait: give it a limit of tokens per minute.",
        ),
        stacked(
            "Waiting, by key",
            (gateway.KEY_WAITING,),
            REQUESTS,
            "Requests of each key that wait at the gateway.\nOnly one key waits: it sends more than its share, and"
            " nobody else suffers. All wait: see the dashboard Batch and KV cache.",
        ),
    ),
)

IS_IT_FAIR = Row(
    "Is it fair, and whom does it refuse?",
    (
        lines(
            "The queue",
            (gateway.QUEUE_DEPTH, gateway.ADMITTED, gateway.ADMISSION_LIMIT),
            REQUESTS,
            "Requests waiting at the gateway, requests in the engines, and how many may be there at once.\nA"
            " queue with room below the limit: the gateway is slow; see the last row. A queue at the limit: the"
            " engines are full.",
        ),
        on_the_right(
            lines(
                "Wait in the queue",
                (*gateway.QUEUE_WAIT_QUANTILES, gateway.DRAIN_RATE),
                "s",
                "How long requests waited at the gateway before they were sent on; on the right axis how many leave"
                " per second, which Retry-After is made of.\np95 above 2.5 s breaks the promise by itself: see runbook"
                " QueueBacklog.",
            ),
            2,
            "reqps",
        ),
        stacked(
            "Refused by a limit",
            (gateway.LIMITED,),
            "reqps",
            "429s by the limit that was met.\nrequests_per_minute, tokens_per_minute, concurrent: the key's own"
            " limit, raise it or leave it. queue_full, queue_timeout: the machine is at its end; see runbook"
            " GatewayRefusing.",
        ),
        stacked(
            "In the engines, by key",
            (gateway.KEY_RUNNING,),
            REQUESTS,
            "Requests of each key that an engine works on.\nUnequal parts while several keys wait: see Fairness.",
        ),
        share(
            "Fairness",
            (gateway.FAIRNESS,),
            0.8,
            "Jain's index over the keys that waited in the last minute: 1 is equal shares, 1/n is one key that"
            " takes all.\nBelow 0.8 for long: keys with different weights are meant to be unequal; otherwise"
            " report it.",
        ),
        replace(
            lines(
                "Time until keys end",
                (gateway.KEY_EXPIRY,),
                Count("days"),
                "Time left of each key that has an end; the next 100. Keys without one, and those that have ended or"
                " were revoked, are not shown.\nLess than a week: see runbook KeyExpiring.",
            ),
            no_value="No key has an end",
        ),
    ),
)

WHAT_BREAKS = Row(
    "What breaks?",
    (
        by_meaning(
            stacked(
                "Answers by status",
                (gateway.RESPONSES,),
                "reqps",
                "Responses begun, by status code, of all models. A stream that breaks later was a 200 when it began:"
                " see Requests by outcome on the Overview.\n401: a wrong key. 429: limits. 502, 504: an engine. 503:"
                " none.",
            ),
            {"2..": GOOD, "4..": NOTICE, "5..": BAD},
        ),
        stacked(
            "Cancelled, by stage",
            (gateway.CANCELLED,),
            "reqps",
            "Clients that left while their request was queued, waited for its first token, or streamed.\nMany"
            " queued or waiting: people give up; shorten the queue. Many streaming: they have read enough.",
        ),
        replace(
            states(
                "Engines, as the gateway sees them",
                gateway.BREAKER,
                BREAKER,
                "Whether each engine gets requests. Left alone: its requests failed in a row.\nLeft alone for more"
                " than a minute: see runbook EngineBreakerOpen.",
            ),
            width=8,
            height=8,
        ),
    ),
)

ITS_OWN_WORK = Row(
    "For those who look after it: the gateway's own work",
    (
        promise(
            "Lateness of its event loop",
            (gateway.LOOP_LAG,),
            "s",
            0.25,
            "Worst lateness in the last 10 to 20 s: every token of every stream can be that late.\nAbove the"
            " line again and again: see runbook GatewayLoopLag.",
        ),
        lines(
            "Its processor",
            (gateway.CPU,),
            Count("cores"),
            "Cores it uses: one at most.\nNear 1: it is the limit; run a second gateway or a faster core.",
        ),
        lines(
            "Connections and files",
            (gateway.CONNECTIONS, gateway.OPEN_FILES),
            Count("open now"),
            "Open client connections, and open files, which count connections on both sides.\nGrows without end"
            " while requests do not: a client keeps connections open; its idle time is limited, so report it.",
        ),
        lines(
            "Requests at each engine, retries",
            (gateway.ENGINE_IN_FLIGHT, gateway.RETRIES),
            REQUESTS,
            "Requests sent to each address and not ended, and retries per second at another engine before a first"
            " byte.\nUnequal heights for long: one engine is slower, or prompts with one beginning all go to it.",
        ),
        by_meaning(
            stacked(
                "Engine chosen by prefix",
                (gateway.AFFINITY,),
                "reqps",
                "kept: the engine that has the prompt's beginning in its cache. escaped: that one was too busy. new:"
                " nobody had it.\nMostly escaped: one beginning is more than one engine can serve, which is as it"
                " should be.",
            ),
            {"kept": GOOD, "new": "blue", "escaped": NOTICE},
        ),
        lines(
            "Time between tokens, at the gateway",
            gateway.TPOT_QUANTILES,
            "s",
            "Mean time between tokens of each answer as it left the gateway.\nFar above the engine's (dashboard"
            " Where time goes): the gateway's processor, or clients that read slowly.",
        ),
    ),
    collapsed=True,
)

GATEWAY = Dashboard(
    uid="gateway",
    title="Gateway",
    description="Keys, fairness, limits, retries, cancellations, and whether the gateway itself is the limit.",
    rows=(WHO_USES_IT, IS_IT_FAIR, WHAT_BREAKS, ITS_OWN_WORK),
)
