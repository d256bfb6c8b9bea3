"""What a key's requests may ask for at most."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.bodies import key_bounds
from gateway.core.call import Principal
from gateway.core.errors import BadRequest
from tests.gateway.harness import Engine, Gateway, bearer, chat, error_of, keys, wait_until

ALICE = Principal("alice", max_output_tokens=100)
Body = dict[str, Any]


@pytest.mark.parametrize(
    ("content", "length", "members"),
    [
        ({}, key_bounds.CHAT, {"max_tokens": 100}),
        ({"max_tokens": None, "max_completion_tokens": None}, key_bounds.CHAT, {"max_tokens": 100}),
        ({"max_tokens": 100}, key_bounds.CHAT, {}),
        ({"max_completion_tokens": 7}, key_bounds.CHAT, {}),
        ({"n": 3}, key_bounds.CHAT, {"max_tokens": 33}),
        ({"n": 3, "max_tokens": 33}, key_bounds.CHAT, {}),
        # A limit by another API's name, which the engine does not read, is none.
        ({"max_output_tokens": 1}, key_bounds.CHAT, {"max_tokens": 100}),
        ({"max_completion_tokens": 1}, key_bounds.COMPLETION, {}),
        ({"max_completion_tokens": 1, "prompt": ["a"] * 10}, key_bounds.COMPLETION, {"max_tokens": 10}),
        ({"max_tokens": 1}, key_bounds.RESPONSE, {"max_output_tokens": 100}),
        ({"prompt": [1, 2, 3]}, key_bounds.COMPLETION, {}),
        ({"prompt": [[1, 2, 3]] * 50, "best_of": 2}, key_bounds.COMPLETION, {"max_tokens": 1}),
        ({"prompt_embeds": ["x"] * 50}, key_bounds.COMPLETION, {"max_tokens": 2}),
        ({}, key_bounds.MESSAGE, {"max_tokens": 100}),
    ],
)
def test_p174_what_says_no_length_gets_the_keys(content: Body, length: key_bounds.Length, members: Body) -> None:
    assert key_bounds.members(content, ALICE, length, clamp=False) == members
    assert key_bounds.members(content, Principal("free"), length, clamp=False) == {}


@pytest.mark.parametrize(
    ("content", "says", "param"),
    [
        ({"max_tokens": 101}, "'max_tokens' is 101, and this key's answers may have 100 tokens", "max_tokens"),
        ({"max_tokens": 51, "n": 2}, "may have 100 tokens together, 50 each", "max_tokens"),
        ({"max_tokens": 1, "max_completion_tokens": 101}, "'max_completion_tokens' is 101", "max_completion_tokens"),
        ({"max_tokens": 1, "n": 101}, "101 answers are asked for", "n"),
        ({"max_tokens": 1, "prompt": ["a"] * 64, "n": 2}, "128 answers are asked for", "n"),
    ],
)
def test_p174_what_asks_for_more_is_refused_or_lowered(content: Body, says: str, param: str) -> None:
    with pytest.raises(BadRequest, match=says) as refused:
        key_bounds.members(content, ALICE, key_bounds.CHAT, clamp=False)
    assert refused.value.param == param
    if param != "n":
        lowered = content | key_bounds.members(content, ALICE, key_bounds.CHAT, clamp=True)
        assert key_bounds.members(lowered, ALICE, key_bounds.CHAT, clamp=False) == {}


@pytest.fixture
def alice(start_gateway: Callable[..., Gateway], engine: Engine, tmp_path: Path) -> Iterator[httpx.Client]:
    """A client whose key may have 40 tokens of answers, no structured output, and bodies of 3,000 bytes."""
    terms = ["--max-output-tokens", "40", "--structured", "no", "--max-body-bytes", "3000"]
    key = keys(tmp_path / "store", "create", "alice", *terms)["key"]
    gateway = start_gateway([engine.url], store=str(tmp_path / "store"))
    gateway.wait_up()
    with httpx.Client(base_url=gateway.url, headers=bearer(key), timeout=10) as client:
        yield client


def test_p174_the_engine_is_told_the_keys_length_by_every_api(alice: httpx.Client, engine: Engine) -> None:
    asked: list[tuple[str, Body, str, int]] = [
        ("/v1/chat/completions", chat(), "max_tokens", 40),
        ("/v1/chat/completions", chat(True, n=2), "max_tokens", 20),
        ("/v1/completions", {"model": "tiny", "prompt": ["a"] * 4}, "max_tokens", 10),
        ("/v1/responses", {"model": "tiny", "input": "a"}, "max_output_tokens", 40),
        ("/v1/messages", {"model": "tiny", "messages": [], "max_tokens": 40}, "max_tokens", 40),
        ("/api/chat", {"model": "tiny", "messages": [{"role": "user", "content": "a"}]}, "max_tokens", 40),
        ("/api/generate", {"model": "tiny", "prompt": "a", "raw": True}, "max_tokens", 40),
        ("/api/generate", {"model": "tiny", "prompt": "a", "options": {"num_predict": 99}}, "max_tokens", 40),
    ]
    for path, body, name, most in asked:
        answer = alice.post(path, json=body)
        assert answer.status_code == 200, (path, answer.text)
        assert engine.last_body()[name] == most, path
    for path, body, name, most in asked[:5]:
        refused = alice.post(path, json=body | {name: most + 1})
        assert refused.status_code == 400 and f"this key's answers may have {40} tokens" in refused.text, path
    # Where no text comes out nothing is put in.
    assert alice.post("/v1/embeddings", json={"model": "tiny", "input": "a"}).status_code == 200
    assert "max_tokens" not in engine.last_body()


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("/v1/chat/completions", {"response_format": {"type": "json_object"}}),
        ("/v1/chat/completions", {"structured_outputs": {"regex": "a"}}),
        ("/v1/completions", {"prompt": "a", "response_format": {"type": "json_object"}}),
        ("/v1/responses", {"input": "a", "text": {"format": {"type": "json_schema", "schema": {}}}}),
        ("/v1/chat/completions", {"tools": [{"type": "function", "function": {"name": "f", "strict": True}}]}),
        ("/api/chat", {"format": "json"}),
    ],
)
def test_p174_a_key_without_structured_output_is_403_before_an_engine_hears_of_it(
    alice: httpx.Client, engine: Engine, path: str, more: Body
) -> None:
    before = engine.paths().get(f"POST {path}", 0)
    refused = alice.post(path, json=chat() | more)
    assert refused.status_code == 403 and "may not use structured output" in refused.text
    if path.startswith("/v1/chat"):
        assert error_of(refused)["code"] == "structured_not_allowed"
    assert engine.paths().get(f"POST {path}", 0) == before
    assert alice.post("/v1/chat/completions", json=chat()).status_code == 200


def test_p174_a_body_over_the_keys_size_is_413_however_it_comes(alice: httpx.Client, tmp_path: Path) -> None:
    body = chat() | {"user": "x" * 3000}
    refused = alice.post("/v1/chat/completions", json=body)
    assert refused.status_code == 413
    assert "over the limit of 3000 bytes (this key's max_body_bytes)" in error_of(refused)["message"]
    content = httpx.Request("POST", "http://x", json=body).content
    pieces = (content[at : at + 500] for at in range(0, len(content), 500))
    assert alice.post("/v1/chat/completions", content=pieces).status_code == 413
    # A kept connection: another key's limit is another one, before and after.
    free = keys(tmp_path / "store", "create", "bob")["key"]
    wait_until(lambda: alice.get("/v1/models", headers=bearer(free)).status_code == 200, 5, "bob known")
    assert alice.post("/v1/chat/completions", json=body, headers=bearer(free)).status_code == 200
    assert alice.post("/v1/chat/completions", json=chat()).status_code == 200
    assert alice.post("/v1/chat/completions", json=body).status_code == 413


def test_p174_terms_change_within_a_second(alice: httpx.Client, tmp_path: Path) -> None:
    words = ["--max-output-tokens", "none", "--structured", "yes", "--max-body-bytes", "none"]
    shown = keys(tmp_path / "store", "change", "alice", *words)
    assert (shown["max_output_tokens"], shown["structured"], shown["max_body_bytes"]) == (None, True, None)
    form = {"response_format": {"type": "json_object"}, "max_tokens": 50, "user": "x" * 3000}
    wait_until(lambda: alice.post("/v1/chat/completions", json=chat() | form).status_code == 200, 5, "taken over")
