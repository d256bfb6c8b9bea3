"""What one request may ask for."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from gateway.bodies import bounds
from gateway.bodies.parts import Parts
from gateway.config.setting_types import RequestLimits
from gateway.core.errors import BadRequest
from tests.gateway.harness import Engine, chat, error_of

LIMITS = RequestLimits()


@pytest.mark.parametrize(
    ("member", "value", "says"),
    [
        ("n", 129, "at most 128"),
        ("best_of", 10**9, "at most 128"),
        ("n", "3", "must be an integer"),
        ("n", 2.0, "must be an integer"),
        ("n", True, "must be an integer"),
        ("n", 10**30, "must be an integer"),
        ("max_tokens", 4097, "context is 4096 tokens"),
        ("max_completion_tokens", 10**9, "context is 4096 tokens"),
        ("max_tokens", "many", "must be an integer"),
        ("max_tokens", [1], "must be an integer"),
        ("min_tokens", 5000, "context is 4096 tokens"),
        ("stop", ["x"] * 65, "at most 64"),
        ("stop_token_ids", list(range(2000)), "at most 1024"),
        ("bad_words", ["x"] * 2000, "at most 1024"),
        ("logit_bias", {str(n): 1 for n in range(2000)}, "at most 1024"),
    ],
)
def test_p55_what_is_beyond_all_measure_is_400_and_names_the_limit(
    client: httpx.Client, engine: Engine, member: str, value: Any, says: str
) -> None:
    before = engine.paths().get("POST /v1/chat/completions", 0)
    refused = client.post("/v1/chat/completions", json=chat(**{member: value}))
    assert refused.status_code == 400
    assert error_of(refused)["param"] == member
    assert says in error_of(refused)["message"]
    assert engine.paths().get("POST /v1/chat/completions", 0) == before


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/v1/completions", {"prompt": ["a"] * 129}, "prompt"),
        ("/v1/completions", {"prompt": ["a"] * 65, "n": 2}, "prompt"),
        ("/v1/completions", {"prompt": [[1, 2]] * 65, "best_of": 2}, "prompt"),
        ("/v1/embeddings", {"input": ["a"] * 2049}, "input"),
        ("/v1/score", {"text_1": "a", "text_2": ["b"] * 2049}, "text_2"),
        ("/v1/rerank", {"query": "a", "documents": ["b"] * 2049}, "documents"),
        ("/v1/responses", {"input": "x", "max_output_tokens": 5000}, "max_output_tokens"),
        ("/v1/messages", {"messages": [], "max_tokens": 5000}, None),
        ("/v1/messages", {"messages": [], "max_tokens": 5, "stop_sequences": ["x"] * 65}, None),
    ],
)
def test_p55_every_api_has_its_bounds(client: httpx.Client, path: str, body: dict[str, Any], param: str | None) -> None:
    refused = client.post(path, json={"model": "tiny", **body})
    assert refused.status_code == 400
    assert refused.json()["error"].get("param") == param


def test_what_is_within_measure_passes() -> None:
    bounds.check({"n": 128, "max_tokens": 4096, "stop": ["x"] * 64, "prompt": ["a"]}, 4096, LIMITS)
    bounds.check({"prompt": list(range(4096)), "n": None, "max_tokens": None, "logprobs": True}, 4096, LIMITS)
    bounds.check({"max_tokens": 10**9, "truncate_prompt_tokens": -1, "prompt_logprobs": 0}, None, LIMITS)
    bounds.check({"tools": [{"function": {"name": f"f{i}"}} for i in range(256)]}, None, LIMITS)


@pytest.mark.parametrize(
    ("content", "param"),
    [
        ({"n": 0}, "n"),
        ({"n": -5, "max_tokens": 4096}, "n"),
        ({"best_of": 0}, "best_of"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_completion_tokens": -(10**9)}, "max_completion_tokens"),
        ({"min_tokens": -1}, "min_tokens"),
        ({"logprobs": 21}, "logprobs"),
        ({"top_logprobs": -1}, "top_logprobs"),
        ({"prompt_logprobs": 10**6}, "prompt_logprobs"),
        ({"truncate_prompt_tokens": -2}, "truncate_prompt_tokens"),
        ({"repetition_detection": {"max_pattern_size": 10**9}}, "repetition_detection"),
        ({"allowed_token_ids": [1] * 70_000}, "allowed_token_ids"),
        ({"prompt": [1] * 4097}, "prompt"),
        ({"prompt": [[1], [1] * 4097]}, "prompt"),
        ({"stop": "x" * 1025}, "stop"),
        ({"stop_sequences": ["a", "x" * 1025]}, "stop_sequences"),
        ({"tools": [{}] * 257}, "tools"),
        ({"tools": [{"function": {"description": "x" * 600_000}}]}, "tools"),
        ({"chat_template_kwargs": {"x": "y" * 20_000}}, "chat_template_kwargs"),
        ({"mm_processor_kwargs": {"x": list(range(10_000))}}, "mm_processor_kwargs"),
        ({"chat_template": "{{ x }}" * 10_000}, "chat_template"),
    ],
)
def test_p121_what_has_no_measure_is_refused_by_name(content: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as refused:
        bounds.check(content, 4096, LIMITS)
    assert refused.value.param == param and f"'{param}" in refused.value.message


def test_p121_messages_parts_and_images_are_counted() -> None:
    limits = RequestLimits(max_messages=2, max_parts=3, max_media=1)
    text = {"type": "text", "text": "x"}
    image = {"type": "image_url", "image_url": {"url": "https://x.example/a.png"}}
    for messages, key in (
        ([{"role": "user", "content": ""}] * 3, "max_messages"),
        ([{"role": "user", "content": [text] * 4}], "max_parts"),
        ([{"role": "user", "content": [image, image]}], "max_media"),
    ):
        with pytest.raises(BadRequest, match=f"limits.requests.{key}"):
            bounds.check_parts(Parts({"messages": messages}), limits)
    bounds.check_parts(Parts({"messages": [{"role": "user", "content": [text, text, image]}] * 1}), limits)


def test_both_kinds_of_many_answers_are_multiplied() -> None:
    with pytest.raises(BadRequest, match="130 answers"):
        bounds.check({"prompt": ["a", "b"], "n": 65}, None, LIMITS)


@pytest.mark.parametrize(
    ("content", "tokens"),
    [
        ({}, None),
        ({"max_tokens": None}, None),
        ({"max_tokens": 0}, None),
        ({"max_tokens": 7}, 7),
        ({"max_completion_tokens": 5, "max_tokens": 7, "n": 3}, 15),
        ({"max_output_tokens": 9, "n": None}, 9),
    ],
)
def test_the_tokens_that_may_come_out(content: dict[str, Any], tokens: int | None) -> None:
    assert bounds.output_tokens(content) == tokens
