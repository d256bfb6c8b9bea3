from __future__ import annotations

from gateway.telemetry.turn_families import families
from gateway.telemetry.turn_metrics import TurnMetrics


def samples(metrics: TurnMetrics) -> dict[tuple[str, ...], float]:
    return {
        (one.name, *(value for label, value in sorted(one.labels.items()) if label != "deployment")): one.value
        for family in families("here", metrics)
        for one in family.samples
    }


def test_without_turns_there_are_no_series() -> None:
    assert list(families("here", TurnMetrics())) == []


def test_the_series_of_a_card() -> None:
    metrics = TurnMetrics()
    metrics.know("card0", ["a"])
    metrics.states["a"], metrics.waiting["a"], metrics.first_wait["a"] = "asleep", 2, 7.5
    metrics.switches["a", "patience"] += 1
    metrics.failures["a", "wake"] += 1
    metrics.loaded("a", "wake", 0.7)
    metrics.lose("card0", 3.5, 0.0)
    found = samples(metrics)
    assert found["gateway_model_state", "a", "asleep"] == 1
    assert found["gateway_model_state", "a", "ready"] == 0
    assert found["gateway_model_waiting", "a"] == 2
    assert found["gateway_model_first_wait_seconds", "a"] == 7.5
    assert found["gateway_model_switches_total", "patience", "a"] == 1
    assert found["gateway_model_load_failures_total", "a", "wake"] == 1
    assert found["gateway_card_lost_seconds_total", "card0"] == 3.5
    assert found["gateway_model_load_seconds_count", "wake", "a"] == 1
    assert found["gateway_model_load_seconds_sum", "wake", "a"] == 0.7
    assert found["gateway_model_load_seconds_bucket", "wake", "1.0", "a"] == 1
