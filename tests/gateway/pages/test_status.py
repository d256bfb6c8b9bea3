"""The state of all models in a word, and what everybody may see."""

from __future__ import annotations

import pytest

from gateway.pages.status import _text, _together
from tests.gateway.pages.conftest import EVIL, Served


@pytest.mark.parametrize(
    ("states", "state"),
    [
        ({"up"}, "up"), ({"up", "down"}, "partly"), ({"starting", "down"}, "starting"), ({"down"}, "down"),
        ({"stalled", "starting"}, "stalled"), (set(), "down"),
    ],
)  # fmt: skip
def test_one_word_for_all_models(states: set[str], state: str) -> None:
    assert _together(states) == state


def test_the_queue_is_told_where_there_is_one() -> None:
    assert [_text("up", 0), _text("up", 1), _text("partly", 3), _text("down", 3)] == [
        "Ready", "Ready, 1 waits", "Partly ready, 3 wait", "Down",
    ]  # fmt: skip


def test_p190_the_status_needs_no_key_and_names_neither_keys_nor_addresses(served: Served) -> None:
    served.ask(served.alice)
    answer = served.get("/ui/v1/status")
    status = answer.json()
    assert (status["version"], status["state"], status["text"]) == (1, "up", "Ready")
    assert [model["name"] for model in status["models"]] == ["tiny", EVIL]
    assert status["places"] > 0 and (status["running"], status["waiting"]) == (0, 0)
    for hidden in ("alice", "ops", served.alice, served.engine.url.removeprefix("http://")):
        assert hidden not in answer.text
