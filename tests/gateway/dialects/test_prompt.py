"""What is known of a prompt before it is tokenised."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest

from gateway.dialects import prompt
from gateway.dialects.parts import Parts


def estimate(content: dict[str, Any]) -> int:
    return prompt.estimate(len(orjson.dumps(content)), Parts(content))


def test_text_counts_by_its_size() -> None:
    assert 1000 <= estimate({"messages": [{"role": "user", "content": "x" * 4000}]}) < 1050


DATA = base64.b64encode(b"i" * 3_000_000).decode()


@pytest.mark.parametrize(
    "image",
    [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{DATA}"}},
        {"type": "input_image", "image_url": f"data:image/png;base64,{DATA}"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": DATA}},
    ],
    ids=["chat", "responses", "anthropic"],
)
def test_an_image_counts_as_an_image_and_not_as_its_base64(image: dict[str, Any]) -> None:
    content = {"messages": [{"role": "user", "content": [{"type": "text", "text": "x" * 400}, image]}]}
    assert prompt.IMAGE_TOKENS + 100 <= estimate(content) < prompt.IMAGE_TOKENS + 200


def test_text_that_speaks_of_base64_is_text() -> None:
    content = {"prompt": "what is ;base64, in a URL?" + "x" * 4000}
    assert estimate(content) >= 1000


@pytest.mark.parametrize(
    "content",
    [
        {"prompt": f"data:image/png;base64,{DATA}"},
        {"messages": [{"role": "user", "content": f"data:;base64,{DATA}"}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": f"data:;base64,{DATA}"}]}]},
        {"input": f"data:;base64,{DATA}"},
        {"system": [{"type": "text", "text": f"data:;base64,{DATA}"}], "messages": []},
        {"messages": [], "tools": [{"input_schema": {"type": "base64", "data": DATA}}]},
        {"messages": [{"role": "tool", "content": "x", "name": {"type": "base64", "data": DATA}}]},
    ],
)
def test_p127_only_what_a_model_sees_as_an_image_counts_as_one(content: dict[str, Any]) -> None:
    assert estimate(content) >= len(DATA) // 4


def test_p127_an_image_that_has_an_address_costs_tokens_as_well() -> None:
    part = {"type": "image_url", "image_url": {"url": "https://x.example/a.png"}}
    assert estimate({"messages": [{"role": "user", "content": [part]}]}) >= prompt.IMAGE_TOKENS


@pytest.mark.parametrize(
    ("given", "tokens"),
    [
        ([1, 2, 3], 3),
        ([[1, 2], [3]], 3),
        ("three words here", 0),
        (["one", "two"], 0),
        ([], 0),
        (None, 0),
        ([[1], "x"], 0),
    ],
)
def test_p110_a_prompt_of_token_ids_is_counted_and_not_estimated(given: Any, tokens: int) -> None:
    assert prompt.given({"prompt": given}) == tokens
