"""The words for recorded verdicts, the same on every dashboard."""

from grafana.panels import BAD, GOOD, IDLE, NOTICE, Panel, advice, states
from grafana.queries import common

LIMITS = {
    0: ("idle", IDLE),
    1: ("room left", GOOD),
    2: ("all slots taken", "blue"),
    3: ("KV cache full", NOTICE),
    4: ("step budget", "purple"),
    5: ("held at the gateway", "yellow"),
}
NEXT_STEPS = {
    0: ("Nothing: nobody waits for long", GOOD),
    1: ("Another GPU (or a smaller model)", BAD),
    2: ("More KV memory", NOTICE),
    3: ("A bigger batch", "blue"),
    4: ("A larger step budget", "purple"),
    5: ("A higher admission limit", "yellow"),
}


def what_limits_it() -> Panel:
    return states(
        "What limits it",
        common.LIMIT_STATE,
        LIMITS,
        "Why requests wait, if they do. Room left: nothing holds them back. All slots taken: the batch is full. KV"
        " cache full: the cache is. Step budget: requests wait although slots and cache are free, usually behind"
        " long prompts. Held at the gateway: the engine would take more.\nA colour that stays: read What more users"
        " would need on the dashboard Batch and KV cache.",
    )


def what_more_users_need() -> Panel:
    return advice(
        "What more users would need",
        common.NEXT_STEP,
        NEXT_STEPS,
        "What the last 5 minutes say, if requests waited nearly all of that time. KV memory: the cache is full,"
        " slots are free. Batch: all slots are taken, the cache has room. GPU: both are full, or answers come slower"
        " than 10 tokens a second.\nKV memory: 8-bit KV cache, smaller weights, shorter context. Batch:"
        " max_num_seqs. Step budget: max_num_batched_tokens. All of them are lines of the profile; fullbatch plan"
        " says what would fit.",
    )
