"""Overflow: which requests may leave for a server that is not ours, and what goes there. Pure.

Off by default. A server of `kind: openai` names the keys whose requests may leave, and after how long a wait here.
"""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from gateway.core.call import Call
from gateway.engines.replica import Replica

# What such servers have in common with ours.
PATHS = frozenset({b"/v1/chat/completions", b"/v1/completions", b"/v1/embeddings"})
# What this gateway adds for vLLM, and others may refuse.
_OURS = ("cache_salt",)


def choose(replicas: Iterable[Replica], call: Call, key: str, waited: float, nobody: bool) -> Replica | None:
    """The server that may have this request now; None if it has to stay.

    Args:
        key: whose request it is.
        waited: seconds in the queue here.
        nobody: no engine of the model is up here, so that waiting is of no use.
    """
    if call.local or call.path not in PATHS:
        return None
    for replica in replicas:
        spill = replica.engine.spill
        if spill is None or key not in spill.keys or call.model not in replica.models:
            continue
        if (nobody or waited >= spill.after_s) and replica.in_flight < replica.limit:
            return replica
    return None


def may(replicas: Iterable[Replica], call: Call, key: str) -> bool:
    """Whether this request may leave at all, sooner or later."""
    return any(
        (spill := replica.engine.spill) is not None and key in spill.keys and call.model in replica.models
        for replica in replicas
    )


def body(call: Call, replica: Replica) -> bytes:
    """A request's body as that server is to get it: by its own name of the model, without what is this gateway's."""
    content = orjson.loads(call.body)
    spill = replica.engine.spill
    for name in _OURS:
        content.pop(name, None)
    content["model"] = (spill.model if spill is not None else "") or call.model
    return orjson.dumps(content)
