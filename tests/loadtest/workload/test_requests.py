"""Request bodies."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson

from loadtest.workload.source import Place
from tests.loadtest.answers import asked

MESSAGES = [{"role": "user", "content": "hello"}]


def body(**more: Any) -> dict[str, Any]:
    made: dict[str, Any] = orjson.loads(asked().body(MESSAGES, 64, **more))
    return made


def test_the_output_length_is_fixed_and_usage_is_asked_for() -> None:
    made = body()
    assert (made["max_tokens"], made["min_tokens"], made["ignore_eos"]) == (64, 64, True)
    assert made["stream"] is True and made["stream_options"] == {"include_usage": True}
    assert (made["model"], made["messages"]) == ("tiny", MESSAGES) and "seed" not in made


def test_without_an_exact_length_openais_fields_are_sent_alone() -> None:
    assert not {"min_tokens", "ignore_eos"} & body(exact=False).keys()


def test_the_server_can_be_asked_to_count() -> None:
    made = orjson.loads(replace(asked(), ask_counts=True).body(MESSAGES, 1))
    assert made["stream_options"] == {"include_usage": True, "continuous_usage_stats": True}


def test_what_is_asked_comes_from_the_source_with_the_runs_own_words() -> None:
    one, two = (asked(nonce=nonce).conversation(Place("1", 0)).turn(1).messages[0]["content"] for nonce in "ab")
    assert one != two
