"""Gateway: keys, fairness, limits, retries, cancellations, and its own CPU time."""

from dataclasses import replace

from grafana.dashboard import Dashboard, Row
from grafana.panels import BAD, GOOD, NOTICE, TOKENS_PER_SECOND, Panel, lines, promise, share, stacked, states
from grafana.queries import gateway

BREAKER = {0: ("takes requests", GOOD), 1: ("is being tried", NOTICE), 2: ("left alone", BAD)}


def _quarter(panel: Panel) -> Panel:
    return replace(panel, width=6)


WHO_USES_IT = Row(
    "Who uses it?",
    (
        _quarter(
            stacked(
                "Requests by key",
                (gateway.KEY_REQUESTS,),
                "reqps",
                "Requests that ended, by the name of their key; beyond 100 names they are counted as other.\nA key that"
                " surprises you: take it out of the key file; it is refused from then on.",
            )
        ),
        _quarter(
            stacked(
                "Tokens by key",
                (gateway.KEY_TOKENS,),
                TOKENS_PER_SECOND,
                "Prompt and answer tokens per second, by key: who uses the GPU.\nOne key with nearly all of it while"
                " others wait: give it a limit of tokens per minute.",
            )
        ),
        _quarter(
            stacked(
                "In the engines, by key",
                (gateway.KEY_RUNNING,),
                "short",
                "Requests of each key that an engine works on.\nUnequal parts while several keys wait: see Fairness.",
            )
        ),
        _quarter(
            stacked(
                "Waiting, by key",
                (gateway.KEY_WAITING,),
                "short",
                "Requests of each key that wait at the gateway.\nOnly one key waits: it sends more than its share, and"
                " nobody else suffers. All wait: see the dashboard Batch and KV cache.",
            )
        ),
    ),
)

IS_IT_FAIR = Row(
    "Is it fair, and whom does it refuse?",
    (
        _quarter(
            lines(
                "The queue",
                (gateway.QUEUE_DEPTH, gateway.ADMITTED, gateway.ADMISSION_LIMIT),
                "short",
                "Requests waiting at the gateway, requests in the engines, and how many may be there at once.\nA"
                " queue with room below the limit: the gateway is slow; see the last row. A queue at the limit: the"
                " engines are full.",
            )
        ),
        _quarter(
            lines(
                "Wait in the queue",
                (*gateway.QUEUE_WAIT_QUANTILES, gateway.DRAIN_RATE),
                "s",
                "How long requests waited at the gateway before they were sent on; the last line is how many leave per"
                " second, which Retry-After is made of.\np95 above 2.5 s breaks the promise by itself: see runbook"
                " QueueBacklog.",
            )
        ),
        _quarter(
            share(
                "Fairness",
                (gateway.FAIRNESS,),
                0.8,
                "Jain's index over the keys that waited in the last minute: 1 is equal shares, 1/n is one key that"
                " takes all.\nBelow 0.8 for long: keys with different weights are meant to be unequal; otherwise"
                " report it.",
            )
        ),
        _quarter(
            stacked(
                "Refused by a limit",
                (gateway.LIMITED,),
                "reqps",
                "429s by the limit that was met.\nrequests_per_minute, tokens_per_minute, concurrent: the key's own"
                " limit, raise it or leave it. queue_full, queue_timeout: the machine is at its end; see runbook"
                " GatewayRefusing.",
            )
        ),
    ),
)

WHAT_BREAKS = Row(
    "What breaks?",
    (
        _quarter(
            stacked(
                "Answers by status",
                (gateway.RESPONSES,),
                "reqps",
                "Responses begun, by status code, of all models. A stream that breaks later was a 200 when it began:"
                " see Requests by outcome on the Overview.\n401: a wrong key. 429: limits. 502, 504: an engine. 503:"
                " none.",
            )
        ),
        _quarter(
            stacked(
                "Cancelled, by stage",
                (gateway.CANCELLED,),
                "reqps",
                "Clients that left while their request was queued, waited for its first token, or streamed.\nMany"
                " queued or waiting: people give up; shorten the queue. Many streaming: they have read enough.",
            )
        ),
        replace(
            states(
                "Engines, as the gateway sees them",
                gateway.BREAKER,
                BREAKER,
                "Whether each engine gets requests. Left alone: its requests failed in a row.\nLeft alone for more"
                " than a minute: see runbook EngineBreakerOpen.",
            ),
            width=6,
            height=8,
        ),
        _quarter(
            lines(
                "Requests at each engine, retries",
                (gateway.ENGINE_IN_FLIGHT, gateway.RETRIES),
                "short",
                "Requests sent to each address and not ended, and retries per second at another engine before a first"
                " byte.\nUnequal heights for long: one engine is slower, or prompts with one beginning all go to it.",
            )
        ),
    ),
)

IS_IT_THE_LIMIT = Row(
    "Is the gateway itself the limit?",
    (
        _quarter(
            promise(
                "Lateness of its event loop",
                (gateway.LOOP_LAG,),
                "s",
                0.25,
                "Worst lateness in the last 10 to 20 s: every token of every stream can be that late.\nAbove the"
                " line again and again: see runbook GatewayLoopLag.",
            )
        ),
        _quarter(
            lines(
                "Its processor",
                (gateway.CPU,),
                "short",
                "Cores it uses: one at most.\nNear 1: it is the limit; run a second gateway or a faster core.",
            )
        ),
        _quarter(
            lines(
                "Connections and files",
                (gateway.CONNECTIONS, gateway.OPEN_FILES),
                "short",
                "Open client connections, and open files, which count connections on both sides.\nGrows without end"
                " while requests do not: a client keeps connections open; its idle time is limited, so report it.",
            )
        ),
        replace(
            lines(
                "Time until keys end",
                (gateway.KEY_EXPIRY,),
                "s",
                "Time left of each key that has an end; the next 100. Keys without one, and those that have ended or"
                " were revoked, are not shown.\nLess than a week: see runbook KeyExpiring.",
                width=6,
            ),
            no_value="No key has an end",
        ),
    ),
)

CHOOSING = Row(
    "How does it choose?",
    (
        replace(
            stacked(
                "Engine chosen by prefix",
                (gateway.AFFINITY,),
                "reqps",
                "kept: the engine that has the prompt's beginning in its cache. escaped: that one was too busy. new:"
                " nobody had it.\nMostly escaped: one beginning is more than one engine can serve, which is as it"
                " should be.",
            ),
            width=12,
        ),
        replace(
            lines(
                "Time between tokens, at the gateway",
                gateway.TPOT_QUANTILES,
                "s",
                "Mean time between tokens of each answer as it left the gateway.\nFar above the engine's (dashboard"
                " Where time goes): the gateway's processor, or clients that read slowly.",
            ),
            width=12,
        ),
    ),
)

GATEWAY = Dashboard(
    uid="gateway",
    title="Gateway",
    description="Keys, fairness, limits, retries, cancellations, and whether the gateway itself is the limit.",
    rows=(WHO_USES_IT, IS_IT_FAIR, WHAT_BREAKS, IS_IT_THE_LIMIT, CHOOSING),
)
