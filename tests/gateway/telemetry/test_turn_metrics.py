from __future__ import annotations

from gateway.telemetry.turn_metrics import FAULTS, REASONS, WINDOW_S, TurnMetrics


def test_everything_is_there_at_0_from_the_start() -> None:
    metrics = TurnMetrics()
    metrics.know("card0", ["a", "b"])
    assert metrics.lost == {"card0": 0.0}
    assert set(metrics.switches) == {(model, reason) for model in "ab" for reason in REASONS}
    assert set(metrics.failures) == {(model, why) for model in "ab" for why in FAULTS}
    assert set(metrics.loads) == {(model, kind) for model in "ab" for kind in ("wake", "cold")}
    metrics.failures["a", "wake"] += 1
    metrics.know("card0", ["a"])  # again, after a reload
    assert metrics.failures["a", "wake"] == 1


def test_the_share_that_was_lost_lately() -> None:
    metrics = TurnMetrics()
    metrics.know("card0", ["a"])
    metrics.lose("card0", 90.0, 100.0)
    metrics.lose("card0", 90.0, 800.0)
    assert metrics.lost_share("card0", 800.0) == 180 / WINDOW_S
    assert metrics.lost_share("card0", 1200.0) == 90 / WINDOW_S
    assert metrics.lost["card0"] == 180.0
    assert metrics.lost_share("nowhere", 0.0) == 0.0


def test_what_takes_turns_no_more_is_nothing_now() -> None:
    metrics = TurnMetrics()
    metrics.states["a"], metrics.waiting["a"], metrics.first_wait["a"] = "ready", 1, 2.0
    metrics.forget(["a", "b"])
    assert not metrics.states and not metrics.waiting and not metrics.first_wait
