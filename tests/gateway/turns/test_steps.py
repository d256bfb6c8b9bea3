"""What goes wrong with sleeping and waking: a cold start follows, nobody who waits is lost, and it is counted."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.gateway.turns.worlds import World

Start = Callable[..., World]


@pytest.mark.parametrize("fault", ["wake", "death", "defect"])
def test_p307_a_failed_wake_is_followed_by_a_cold_start(start_world: Start, fault: str) -> None:
    world = start_world({"a": {"sleep_fault": fault}, "b": {}})
    world.ask("a")
    world.ask("b")
    assert world.ask("a").json()["model"] == "a"
    assert world.failures("a", "canary" if fault == "defect" else "wake") == 1
    assert world.gateway.metric("gateway_model_load_seconds_count", model="a", kind="cold") == 2
    assert world.gateway.metric("gateway_model_load_seconds_count", model="a", kind="wake") == 0
    assert world.states()["a"] == "ready"


@pytest.mark.parametrize("fault", ["sleep", "insomnia"])
def test_p307_a_failed_sleep_frees_the_card_and_is_counted(start_world: Start, fault: str) -> None:
    world = start_world({"a": {"sleep_fault": fault}, "b": {}})
    world.ask("a")
    assert world.ask("b").json()["model"] == "b"
    assert world.failures("a", "sleep") == 1
    assert world.launcher.of("a")["pid"] is None
    assert world.ask("a").json()["model"] == "a"


def test_p307_no_request_comes_before_a_token(start_world: Start) -> None:
    """One that answers and brings nothing is no model: whoever waits is told so."""
    world = start_world({"a": {"fault": "defect"}, "b": {}})
    refused = world.ask("a")
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "model_failed")
    assert "brings no token" in refused.json()["error"]["message"]
    assert world.failures("a", "canary") == 1
    assert world.ask("b").json()["model"] == "b"
