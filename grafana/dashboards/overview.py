"""Overview: who is served, how fast, what fails, who waits."""

from dataclasses import replace

from grafana.dashboard import Dashboard, Row
from grafana.dashboards.verdicts import what_limits_it
from grafana.panels import (
    BAD,
    GOOD,
    IDLE,
    NOTICE,
    REQUESTS,
    TOKENS_PER_SECOND,
    Count,
    lines,
    out_of,
    promise,
    stacked,
    stat,
    states,
    steps,
)
from grafana.queries import common, engine, gateway, hardware
from grafana.variations import by_meaning, whole

# How a request may end -> a colour for it.
OUTCOMES = {
    "ok": GOOD,
    "refused|engine_rejected": "blue",
    "client_gone|stopping": IDLE,
    "overloaded": NOTICE,
    "engine_error|engine_timeout|no_engine|cut|internal": BAD,
}

IS_IT_WELL = Row(
    "Is it well?",
    (
        replace(
            stat(
                "Engines up",
                gateway.ENGINES_UP,
                "none",
                steps(BAD, (1, GOOD)),
                "Engines the gateway can use.\n0: nobody is served; see runbook VllmDown. Fewer than you started:"
                " one is still loading its model or has died.",
            ),
            no_value="No gateway",
        ),
        out_of(
            "Being answered",
            engine.RUNNING_OF_SLOTS,
            "none",
            "Requests in the batch, of the slots (max_num_seqs) of all engines that are up.\nAll slots taken and"
            " requests waiting: see the dashboard Batch and KV cache.",
        ),
        stat(
            "Requests waiting",
            engine.WAITING,
            "none",
            steps(GOOD, (1, NOTICE), (20, BAD)),
            "Requests that no engine works on yet, at the gateway and in the engines.\nAbove 0 for minutes: see What"
            " limits it, and runbook QueueBacklog.",
        ),
        stat(
            "First token, p95",
            gateway.TTFT_P95,
            "s",
            steps(GOOD, (1, NOTICE), (2.5, BAD)),
            "19 of 20 streams got their first token within this time, queueing included, over 5 minutes at the gateway."
            "\nHigh: the dashboard Where time goes says which part of it.",
        ),
        stat(
            "Output",
            engine.OUTPUT_RATE,
            TOKENS_PER_SECOND,
            steps("blue"),
            "Tokens generated per second for everybody together, over 1 minute.\nFalls to 0 while requests run: see"
            " runbook VllmStalled.",
        ),
        stat(
            "Failed requests",
            gateway.ERROR_SHARE,
            "percentunit",
            steps(GOOD, (0.001, NOTICE), (0.01, BAD)),
            "Share of requests that ended without their answer, over 5 minutes: an engine broke, was silent or cut the"
            " stream, or none was up.\nAbove 1 %: see runbook GatewayErrors and the panel Requests by outcome.",
        ),
        what_limits_it(),
    ),
)

NO_CARDS = "Needs --profile gpu"

PEOPLE_AND_CARDS = Row(
    "People, in the time shown, and cards, now",
    (
        replace(
            whole(
                stat(
                    "Keys in use",
                    gateway.KEYS_USED,
                    "none",
                    steps("blue"),
                    "Keys with at least one request in the time that the dashboard shows: choose 24 hours for a day."
                    " All people of a trusted key, such as the chat's, are one here."
                    "\nWho they are: the dashboard Gateway.",
                )
            ),
            instant=True,
        ),
        replace(
            whole(
                stat(
                    "Tokens of one key",
                    gateway.TOKENS_PER_KEY,
                    "short",
                    steps("blue"),
                    "Prompt and answer tokens of the time shown, divided by the keys in use.\nFar from what most have:"
                    " one key uses nearly all of it; see the dashboard Gateway, or fullbatch usage.",
                )
            ),
            instant=True,
        ),
        replace(
            stat(
                "Card memory",
                hardware.FULLEST_CARD,
                "percentunit",
                steps(GOOD, (0.97, NOTICE), (0.995, BAD)),
                "Share in use of the fullest card. vLLM takes its part at the start and keeps it."
                "\nClimbs: something else uses the card; nvidia-smi names it.",
            ),
            no_value=NO_CARDS,
        ),
        replace(
            stat(
                "Hottest card",
                hardware.HOTTEST_CARD,
                "celsius",
                steps(GOOD, (83, NOTICE), (87, BAD)),
                "Degrees Celsius of the chip.\nRed: see runbook GpuHot.",
            ),
            no_value=NO_CARDS,
        ),
        replace(
            stat(
                "Power of all cards",
                hardware.POWER_OF_ALL,
                "watt",
                steps("blue"),
                "What the cards draw now.\nFar below their limit while requests wait: see the dashboard Hardware.",
            ),
            no_value=NO_CARDS,
        ),
        replace(
            stat(
                "Energy per 1M tokens",
                hardware.ENERGY_PER_MILLION,
                "kwatth",
                steps("blue"),
                "Power of all cards by the output of the last 5 minutes. Times your price per kWh is what a million"
                " tokens cost.\nHigh: few users share a card that draws power anyway.",
            ),
            no_value=NO_CARDS,
        ),
    ),
)

WHO_IS_SERVED = Row(
    "Who is served, and how fast?",
    (
        lines(
            "Requests, queue and slots",
            (engine.RUNNING, engine.WAITING, engine.SLOTS, common.LOAD_TEST_USERS),
            REQUESTS,
            "Requests in the batch, requests waiting, and the slots of all engines that are up. Sampled every 5 s,"
            " so short requests may pass unseen.\nA queue with running below the slots: KV cache, step budget or the"
            " gateway holds requests back, not the slots.",
        ),
        lines(
            "Tokens per second",
            (engine.OUTPUT_RATE, engine.PROMPT_RATE, common.LOAD_TEST_OUTPUT),
            TOKENS_PER_SECOND,
            "What all users get together, and the prompts they send.\nOutput that stays flat while more requests"
            " run: the GPU is at its end; more users only make each answer slower.",
        ),
        promise(
            "Time to first token",
            gateway.TTFT_QUANTILES,
            "s",
            2.5,
            "At the gateway, from the request's head to its first token, queueing included. The dashed line is the"
            " promise: 2.5 s for 95 of 100.\nOnly p99 high: single long prompts. All high: the queue; see runbook"
            " TtftSloBurn.",
        ),
        lines(
            "Speed of one answer",
            (engine.USER_RATE,),
            TOKENS_PER_SECOND,
            "Speed of one answer after its first token, mean of the requests that finished. People read about 5"
            " tokens a second.\nBelow 10 with a full batch: fewer slots make each answer faster and the queue"
            " longer; more of both needs another GPU.",
        ),
        by_meaning(
            stacked(
                "Requests by outcome",
                (gateway.REQUESTS_BY_OUTCOME,),
                "reqps",
                "How requests ended at the gateway. ok: a whole answer; refused, engine_rejected: the client's"
                " mistake; overloaded: 429, come back later.\nRed (engine_..., cut, no_engine, internal): see runbook"
                " GatewayErrors. Many client_gone: answers are too slow.",
            ),
            OUTCOMES,
        ),
        stacked(
            "Who waits",
            (gateway.KEY_WAITING,),
            REQUESTS,
            "Requests that wait at the gateway, by key.\nOne key with nearly all of it: it sends more than its"
            " share, and only it waits. Many keys: more is asked than served; see What limits it.",
        ),
    ),
)

PROMISES = Row(
    "Is the service level kept?",
    (
        replace(
            promise(
                "Failures and late answers",
                gateway.ERROR_BUDGET,
                Count("times what is allowed"),
                6,
                "1 spends exactly what is allowed: 1 request in 100 may fail, 5 first tokens in 100 may come after"
                " 2.5 s.\nAbove 6 for hours, or 14.4 for one: see runbook ErrorBudgetBurn and TtftSloBurn.",
            ),
            width=12,
        ),
        replace(
            states(
                "Alerts",
                common.ALERTS,
                {1: ("firing", BAD)},
                "Alerts that fired, over time; what is no fault (info) is left out.\nEach has a heading of its own in"
                " docs/runbook.md: what it means, where to look, what to do.",
            ),
            width=12,
            height=8,
            no_value="No alert fires",
        ),
    ),
)

OVERVIEW = Dashboard(
    uid="overview",
    title="Overview",
    description="Is it well? Users, tokens per second, time to first token, errors, and who waits.",
    rows=(IS_IT_WELL, WHO_IS_SERVED, PEOPLE_AND_CARDS, PROMISES),
)
