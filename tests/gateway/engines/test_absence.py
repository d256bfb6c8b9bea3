"""What is said of a model that nobody serves."""

from __future__ import annotations

from gateway.engines import absence
from gateway.engines.health_report import Health
from gateway.engines.replica import ReplicaState


def health(name: str, state: ReplicaState, told: str = "") -> Health:
    return Health(name, state, 0.0, told, told, 0, 1, ("m",))


def test_the_engines_of_the_model_and_when_to_come_back() -> None:
    error = absence.none_up("m", [health("a", "down", "no connection"), health("b", "starting")])
    assert str(error) == "model 'm' is starting (engine 'a': no connection; engine 'b': starting); try again in 5 s"
    assert error.retry_after == 5


def test_one_that_stands_still_is_said_before_one_that_starts() -> None:
    error = absence.none_up("m", [health("a", "starting"), health("b", "stalled")])
    assert str(error).startswith("model 'm' is stalled")


def test_no_engine_any_more() -> None:
    assert "no engine is configured for it any more" in str(absence.none_up("other", [health("a", "up")]))


def test_an_unknown_model_is_told_the_known_ones() -> None:
    error = absence.unknown("x" * 300, ["m", "n"])
    assert str(error) == f"no model '{'x' * 200}' here; there are 'm', 'n'"
    assert error.param == "model"
