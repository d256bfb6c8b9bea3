"""Limits of the gateway from a plan: requests in the engines, in the queue, and how long they wait. Pure.

What an engine has room for is tokens, and the gateway counts those itself, request by request
(`gateway/engines/kv_occupancy.py`). A plan gives it the tokens, the seats and the people, never a number of requests of
some assumed length.
"""

from __future__ import annotations

from dataclasses import dataclass

from common.gateway_limits import GatewayLimits
from fullbatch.catalog import WorkloadShape

# Requests held by the gateway for each seat in the engine's batch at the least: one decoding, three waiting.
IN_FLIGHT_PER_SEAT = 4
# The engine's own bound stands behind the gateway's and must not fire first: room for health probes.
ENGINE_QUEUE_MARGIN = 16
# For this many seats one more request is let in, so that a seat that falls free is filled in the very next step.
HEADROOM_PART = 8
# Tokens of a request, prompt and answer, that a plan gives as examples.
EXAMPLES = (256, 1000)


@dataclass(frozen=True)
class AdmissionBounds:
    """Of a model's pool of engines: requests in them at once, requests waiting for a place, seconds of waiting.

    `max_running`: however short they are; `max_running_each`: the share of one engine, which is what the gateway is
    told: engines may come and go. `users`: with so many requests or fewer nobody is refused for having waited.
    """

    users: int
    max_running: int
    max_running_each: int
    max_queued: int
    queue_timeout_s: float
    why_running: str
    why_queued: str
    why_timeout: str


@dataclass(frozen=True)
class EnginePool:
    """The engines behind a model. `seats`, `fit` (requests of half the context in the KV cache) and `kv_tokens` are one
    engine's.

    `step_s`: least seconds of a decoding step with all of them running; None where the card's speed says nothing.
    """

    engines: int
    seats: int
    fit: int
    step_s: float | None
    kv_tokens: int

    @property
    def served(self) -> int:
        """Requests of half the context that make progress at once."""
        return self.engines * max(1, min(self.seats, self.fit))


def admission(pool: EnginePool, users: int, name: str, workload: WorkloadShape) -> AdmissionBounds:
    """Bounds for `users` people whose requests look like `workload`, which the profile calls `name`."""
    each = pool.seats + -(-pool.seats // HEADROOM_PART)
    asked = users * workload.requests_each - pool.served
    wanted, why = users, f"one waiting request for each of {users} users"
    if asked > users:
        wanted, why = asked, f"{users} users with up to {workload.requests_each} requests each, less those running"
    queued = wanted
    drains = drained(pool, workload)
    waiting = pool.engines * pool.seats * (IN_FLIGHT_PER_SEAT - 1)
    if drains is None and waiting > wanted:
        queued, why = waiting, f"{IN_FLIGHT_PER_SEAT - 1} for each seat: how fast they are served is not known here"
    if drains is not None and users < drains < wanted:
        queued, why = drains, f"what the engines can finish in {workload.queue_timeout_s:g} s; more would only time out"
    elif drains is not None and drains < wanted:
        queued, why = (
            users,
            f"one for each of {users} users; more would not be served in {workload.queue_timeout_s:g} s",
        )
    return AdmissionBounds(
        users=users,
        max_running=each * pool.engines,
        max_running_each=each,
        max_queued=queued,
        queue_timeout_s=workload.queue_timeout_s,
        why_running=_why_running(pool),
        why_queued=why,
        why_timeout=f"workload {name}: with more than {users} requests, who has waited so long is better told so",
    )


def _why_running(pool: EnginePool) -> str:
    """In words that are true: what fits is counted in tokens."""
    held = pool.engines * pool.kv_tokens
    fits = " or ".join(f"about {held // tokens:,} of {tokens:,} tokens" for tokens in EXAMPLES)
    seats = pool.engines * pool.seats
    return (
        f"as many as fit the KV cache by their tokens: {fits}. The number is only the seats, {seats}, and one more for "
        f"every {HEADROOM_PART}, so that none stays empty"
    )


def drained(pool: EnginePool, workload: WorkloadShape) -> int | None:
    """The most requests the engines can finish while one waits in the queue; None where their speed is not known."""
    if pool.step_s is None:
        return None
    return int(pool.served / (workload.answer_tokens * pool.step_s) * workload.queue_timeout_s)


def limits(seats: int, allowed: AdmissionBounds) -> GatewayLimits:
    """`seats`: those of all engines together."""
    return GatewayLimits(max_in_flight=max(seats * IN_FLIGHT_PER_SEAT, allowed.max_running + allowed.max_queued))


def engine_bound(gateway: GatewayLimits) -> int:
    """Requests one engine holds itself; with the others down all of the gateway's may come to it."""
    return gateway.max_in_flight + ENGINE_QUEUE_MARGIN
