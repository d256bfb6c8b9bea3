"""What is known of a prompt before it is tokenised."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import httpx
import orjson
import pytest

from gateway.bodies import pictures, prompt
from gateway.bodies.parts import Parts
from gateway.config.setting_types import RequestLimits
from gateway.core.errors import BadRequest
from tests.gateway import picture_files
from tests.gateway.harness import Engine, Gateway, chat, error_of


def estimate(content: dict[str, Any]) -> int:
    parts = Parts(content)
    pictures.check(parts, "m", None, RequestLimits())
    return prompt.estimate(len(orjson.dumps(content)), parts)


def test_text_counts_by_its_size() -> None:
    assert 1000 <= estimate({"messages": [{"role": "user", "content": "x" * 4000}]}) < 1050


DATA = base64.b64encode(picture_files.png(640, 480) + b"i" * 3_000_000).decode()


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
    assert pictures.PICTURE_TOKENS + 100 <= estimate(content) < pictures.PICTURE_TOKENS + 200


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


def _user(content: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content}]}


LONG = "x" * 1001
TOO_LONG = [
    _user(LONG),
    _user([{"type": "text", "text": LONG}]),
    {"messages": [{"role": "user", "content": "x" * 501}] * 2},
    {"prompt": LONG},
    {"prompt": ["short", LONG]},
    {"input": LONG},
    {"input": [{"role": "user", "content": [{"type": "input_text", "text": LONG}]}]},
]
FITS = [
    _user("x" * 1000),
    # What a template cuts off or leaves out, or one token holds much of.
    _user("x" * 1000 + " \n\t\u3000" * 5000),
    {"messages": [{"role": "assistant", "content": LONG}, {"role": "system", "content": LONG}]},
    {"tools": [LONG], "metadata": LONG},
    # Each is a prompt of its own.
    {"prompt": ["x" * 1000] * 5},
    {"prompt": [1] * 2000},
    # No text.
    _user([{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{DATA}"}}]),
    # The engine cuts it, or nobody knows what becomes of it.
    _user(LONG) | {"truncate_prompt_tokens": -1},
    {"input": LONG, "truncation": "auto"},
    _user(LONG) | {"chat_template": "{{ messages[-1] }}"},
    # Not what it should be: the engine has its own words.
    {"messages": LONG[0], "prompt": {"a": LONG}, "input": 7},
    {"messages": [LONG, None, {"role": "user", "content": [LONG, {"type": "text", "text": 5}]}]},
]


@pytest.mark.parametrize("content", TOO_LONG)
def test_p175_what_cannot_fit_the_context_is_refused(content: dict[str, Any]) -> None:
    with pytest.raises(
        BadRequest, match="has more than 1000 characters besides blanks, and the model's context of 10 tokens"
    ) as refused:
        prompt.must_fit(content, 10, 100)
    assert refused.value.param in content
    prompt.must_fit(content, 11, 100)
    prompt.must_fit(content, 10, 0)


@pytest.mark.parametrize("content", FITS)
def test_p175_what_may_fit_is_let_through(content: dict[str, Any]) -> None:
    prompt.must_fit(content, 10, 100)


def test_p175_it_is_decided_before_an_engine_hears_of_it(client: httpx.Client, engine: Engine) -> None:
    text = "x" * (4096 * 256 + 1)
    asked: dict[str, dict[str, Any]] = {
        "/v1/chat/completions": _user(text),
        "/v1/completions": {"prompt": text},
        "/v1/responses": {"input": text},
        "/v1/messages": _user(text) | {"max_tokens": 5},
        "/api/chat": _user(text),
        "/api/generate": {"prompt": text, "raw": True},
    }
    before = engine.state()["submitted"]
    for path, body in asked.items():
        refused = client.post(path, json={"model": "tiny"} | body)
        assert refused.status_code == 400 and "context of 4096 tokens" in refused.text, path
        if path == "/v1/chat/completions":
            assert error_of(refused)["param"] == "messages"
    assert engine.state()["submitted"] == before
    # Embeddings may be cut to the context; how, the engine knows.
    assert client.post("/v1/embeddings", json={"model": "tiny", "input": text}).status_code == 200


def test_p175_a_setting_raises_it_or_takes_it_away(start_gateway: Callable[..., Gateway], engine: Engine) -> None:
    gateway = start_gateway([engine.url], limits={"requests": {"chars_per_token": 0}})
    gateway.wait_up()
    with gateway.client() as client:
        before = engine.paths().get("POST /v1/chat/completions", 0)
        answer = client.post("/v1/chat/completions", json=chat() | _user("x" * (4096 * 256 + 1)))
        assert "chars_per_token" not in answer.text, "the engine's own refusal"
        assert engine.paths()["POST /v1/chat/completions"] == before + 1
