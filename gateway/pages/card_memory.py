"""The plan's memory of each card beside the KV cache that its engines report. Only an operator sees it."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.config.memory_settings import CardMemory, PlannedShare
from gateway.engines.replica import Replica

Entry = dict[str, object]


def entries(cards: Iterable[CardMemory], replicas: Iterable[Replica]) -> list[Entry]:
    """One for each of ``cards``, with what is known of its engines now; GiB and tokens."""
    by_engine: dict[str, list[Replica]] = {}
    for replica in replicas:
        by_engine.setdefault(replica.engine.name, []).append(replica)
    return [
        {
            "title": card.title,
            "total_gib": card.total_gib,
            "kept_gib": card.kept_gib,
            "turn_gib": round(card.turn_gib, 2),
            "free_gib": round(card.free_gib, 2),
            "parts": [_part(part, by_engine.get(part.engine, [])) for part in card.parts],
        }
        for card in cards
    ]


def _part(part: PlannedShare, replicas: list[Replica]) -> Entry:
    return {
        "engine": part.engine,
        "weights_gib": part.weights_gib,
        "overhead_gib": part.overhead_gib,
        "kv_gib": part.kv_gib,
        "turns": part.turns,
        "kv_tokens_planned": replicas[0].engine.kv_cache_tokens if replicas else None,
        "reported": [found for replica in replicas if (found := _reported(part, replica)) is not None],
    }


def _reported(part: PlannedShare, replica: Replica) -> Entry | None:
    """None where it has said nothing, as one that is stopped.

    An engine says tokens; they are as many GiB as the plan's tokens are by the plan.
    """
    said, planned = replica.report, replica.engine.kv_cache_tokens
    if said is None or not said.kv_tokens:
        return None
    times = said.kv_tokens / planned
    return {
        "address": replica.label,
        "kv_tokens": round(said.kv_tokens),
        "kv_gib": round(part.kv_gib * times, 2),
        "deviation": round(times - 1, 4),
    }
