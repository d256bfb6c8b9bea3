"""What is counted while models take turns, by the names that clients use; and the recording for tests of panels."""

from __future__ import annotations

import concurrent.futures
import time
from collections.abc import Callable

from prometheus_client.parser import text_string_to_metric_families

from tests.gateway.turns.worlds import World
from tests.prometheus.exposition import TURNS
from tests.waiting import wait_until

Start = Callable[..., World]
FIRST, SECOND = "Org/First-Model", "second"


def shape(text: str) -> set[tuple[str, ...]]:
    """Series by name, labels, and the values of those labels that have few."""
    return {
        (
            sample.name,
            *sorted(sample.labels),
            *(sample.labels.get(label, "") for label in ("state", "reason", "why", "kind", "le")),
        )
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith(("gateway_model_", "gateway_card_"))
    }


def test_names_are_the_clients_and_lost_time_counts_while_it_is_lost(start_world: Start) -> None:
    world = start_world({"a": {"model": FIRST}, "b": {"model": SECOND, "fault": "slow-start", "slow_start_s": 2.5}})
    assert world.ask(FIRST).json()["model"] == FIRST
    gateway = world.gateway

    def lost() -> float:
        return gateway.metric("gateway_card_lost_seconds_total", card="card0")

    before = lost()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        other = pool.submit(world.ask, SECOND)
        wait_until(lambda: gateway.metric("gateway_model_state", model=SECOND, state="loading") == 1, 20, world.told)
        wait_until(lambda: lost() > before + 0.5, 20, "it is counted while the switch goes on")
        assert not other.done() and gateway.metric("gateway_model_state", model=SECOND, state="loading") == 1
        assert other.result().json()["model"] == SECOND
    after = lost()
    time.sleep(0.5)
    assert lost() == after, "and no more when it is over"
    metrics = gateway.metrics()
    named = {
        value
        for family in text_string_to_metric_families(metrics)
        for sample in family.samples
        if sample.name.startswith("gateway_model_")
        for label, value in sample.labels.items()
        if label in ("model", "to")
    }
    assert named == {FIRST, SECOND}
    assert shape(TURNS.read_text()) == shape(metrics), "scripts/record-metrics URL FILE gateway_model_ gateway_card_"
