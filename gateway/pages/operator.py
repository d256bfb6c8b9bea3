"""What an operator sees: engines with their addresses, the queue by key, all keys. Never a key itself or its digest."""

from __future__ import annotations

import time
from collections.abc import Mapping

from gateway.admission.controller import Admission
from gateway.core.call import Principal
from gateway.engines.registry import EngineRegistry
from gateway.engines.replica import Replica
from gateway.keys.ledger import day_of
from gateway.keys.store import Store
from gateway.keys.stored import StoredKey
from gateway.pages.person import when

VERSION = 1
Entry = dict[str, object]


class Operator:
    """Gathers what is in memory; the keys are in the store (`keys`)."""

    def __init__(self, registry: EngineRegistry, admission: Admission) -> None:
        self._registry = registry
        self._admission = admission

    def engines(self) -> list[Entry]:
        """Each engine, and each of its addresses."""
        found = self._registry.replicas()
        return [
            {
                "name": health.name,
                "state": health.state,
                "since": when(health.since),
                "text": health.reason,
                "models": list(health.models),
                "addresses": [_address(one) for one in found if one.engine.name == health.name],
            }
            for health in self._registry.health()
        ]

    def queue(self) -> list[Entry]:
        """Every key that has requests running or waiting; the one with most waiting first."""
        waiting: dict[str, int] = {}
        for keys in self._admission.waiting().values():
            for name, count in keys.items():
                waiting[name] = waiting.get(name, 0) + count
        running = self._admission.running_by_key
        names = sorted({*waiting, *running}, key=lambda name: (-waiting.get(name, 0), -running.get(name, 0), name))
        return [{"key": name, "running": running.get(name, 0), "waiting": waiting.get(name, 0)} for name in names]


def _address(replica: Replica) -> Entry:
    said = replica.report
    return {
        "address": replica.label,
        "state": replica.state,
        "in_flight": replica.in_flight,
        "places": replica.limit,
        # Of the engine's own report; None: it has given none.
        "running": None if said is None else round(said.running),
        "waiting": None if said is None else round(said.waiting),
        "kv_usage": None if said is None else round(said.kv_usage, 4),
        "kv_tokens": replica.engine.kv_cache_tokens if said is None or not said.kv_tokens else round(said.kv_tokens),
        "kv_tokens_planned": replica.engine.kv_cache_tokens,
    }


def keys_of_store(store: Store) -> list[Entry]:
    """All keys of the store by name, each with what it used today. In the store's thread."""
    today = day_of(time.time())
    used = {line.name: line for line in store.report(("key",), today, today)}
    found = []
    for key in store.keys():
        line = used.get(key.name)
        requests, tokens = (line.requests, line.prompt_tokens + line.completion_tokens) if line else (0, 0)
        found.append(entry(key) | {"requests_today": requests, "tokens_today": tokens})
    return found


def entry(key: StoredKey) -> Entry:
    """One key without what it is: neither secret nor digest."""
    terms = key.terms
    return {
        "name": key.name,
        "state": key.state(time.time()),
        "from": "store",
        "models": None if terms.models is None else list(terms.models),
        "requests_per_minute": terms.requests_per_minute,
        "tokens_per_minute": terms.tokens_per_minute,
        "concurrent": terms.concurrent,
        "weight": terms.weight,
        "priority": terms.priority,
        "max_output_tokens": terms.max_output_tokens,
        "max_body_bytes": terms.max_body_bytes,
        "structured": terms.structured,
        "trusted": terms.trusted,
        "created": when(key.created),
        "expires": when(terms.expires),
        "last_used": when(key.last_used),
    }


def keys_of_file(active: Mapping[str, Principal], in_store: list[Entry]) -> list[Entry]:
    """Valid keys that the store does not have: those of the key file."""
    known = {one["name"] for one in in_store}
    return [{"name": name, "state": "active", "from": "key file"} for name in sorted(active) if name not in known]
