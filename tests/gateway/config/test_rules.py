"""Other names of models, and who shares a prefix cache."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import orjson
import pytest

from gateway.config.rules import Rules
from gateway.config.setting_types import RequestLimits
from gateway.config.settings import EngineSettings, Settings
from gateway.dialects.anthropic import Anthropic, CountTokens
from gateway.dialects.ollama import OllamaChat
from gateway.dialects.openai import OpenAI, Responses, Texts, Tokenizer
from gateway.engines import prefix_affinity
from gateway.http.messages import Request
from tests.gateway.harness import KEY, OTHER_KEY, Engine, Gateway, bearer, chat, error_of, wait_until

KNOWN = ("tiny", "claude-9")


def test_p125_names_are_resolved() -> None:
    rules = Rules(aliases={"gpt-4o-mini": "tiny", "claude-*": "tiny", "claude-opus-*": "claude-9", "*": "claude-9"})
    assert [
        rules.resolve(name, KNOWN)
        for name in ("tiny", "claude-9", "gpt-4o-mini", "claude-sonnet", "claude-opus-5", "x")
    ] == ["tiny", "claude-9", "tiny", "tiny", "claude-9", "claude-9"]
    assert Rules().resolve("gpt-4o-mini", KNOWN) == "gpt-4o-mini"


@pytest.mark.parametrize(
    ("aliases", "says"),
    [
        ({"gpt-4o": "huge"}, "'gpt-4o' stands for 'huge', which no engine serves; write one of 'tiny'"),
        ({"tiny": "tiny"}, "'tiny' is a model itself"),
        ({"a*b": "tiny"}, "with '\\*' at its end"),
        ({"": "tiny"}, "at least 1 character"),
        ({"a\x85": "tiny"}, "characters that cannot be printed"),
    ],
)
def test_p37_an_alias_that_cannot_be_is_refused(aliases: dict[str, str], says: str) -> None:
    engine = {"name": "e", "url": "http://e:1", "models": ("tiny",)}
    numbers = dict.fromkeys(("max_num_seqs", "max_num_batched_tokens", "max_model_len", "kv_cache_tokens"), 8)
    with pytest.raises(ValueError, match=says):
        Settings.model_validate(
            {"api_keys_file": "k", "deployment": "d", "engines": (engine | numbers,), "aliases": aliases}
        )


def test_p124_salts_tell_keys_apart_and_clients_cannot_make_anothers() -> None:
    rules = Rules(by_key=True, deployment="d")
    salts = [
        rules.salt(who, own) for who, own in (("a", None), ("b", None), ("a", "x"), ("b", "x"), ("a", ""), ("a", 5))
    ]
    assert len(set(salts)) == 4 and salts[0] == salts[4] == salts[5]
    assert salts[0] == Rules(by_key=True, deployment="d").salt("a") != Rules(by_key=True, deployment="e").salt("a")
    assert rules.salt("b", salts[0]) not in salts
    for salt in salts:  # what vLLM takes
        assert 0 < len(salt) <= 128 and not set(salt) & set("@/\\\0")


ENGINE = EngineSettings(
    name="e", url="http://e:1", models=("tiny",), max_num_seqs=8, max_num_batched_tokens=8, max_model_len=4096,
    kv_cache_tokens=8,
)  # fmt: skip


def models() -> dict[str, EngineSettings]:
    return {"tiny": ENGINE}


def asked(body: dict[str, Any]) -> Request:
    request = Request("x", 0.0)
    request.target = b"/x"
    request.body = orjson.dumps(body)
    return request


MESSAGES = [{"role": "user", "content": "x" * 600}]
BODIES: list[tuple[type[Any], dict[str, Any]]] = [
    (OpenAI, {"messages": MESSAGES}),
    (OpenAI, {"prompt": "x" * 600, "stream": True}),
    (Responses, {"input": "x" * 600}),
    (Anthropic, {"messages": MESSAGES, "max_tokens": 5}),
    (Texts, {"input": "x"}),
    (OllamaChat, {"messages": MESSAGES}),
]


@pytest.mark.parametrize(("dialect", "body"), BODIES)
def test_p124_every_api_salts_and_the_rest_of_the_body_stays(dialect: Any, body: dict[str, Any]) -> None:
    body = {"model": "tiny"} | body
    plain = dialect(models).read(asked(body))
    salted = dialect(models, lambda: Rules(by_key=True)).read(asked(body))
    assert b"cache_salt" not in plain.body
    sent = orjson.loads(salted.body)
    assert sent.pop("cache_salt") == Rules().salt("")
    assert sent == orjson.loads(plain.body)
    if dialect is not OllamaChat:
        assert salted.body.startswith(plain.body[:-1])


def test_p124_a_clients_own_salt_stays_beneath_its_key() -> None:
    own = {"model": "tiny", "messages": MESSAGES, "cache_salt": "mine"}
    assert orjson.loads(OpenAI(models).read(asked(own)).body)["cache_salt"] == "mine"
    rules = Rules(by_key=True)
    assert orjson.loads(OpenAI(models, lambda: rules).read(asked(own)).body)["cache_salt"] == rules.salt("", "mine")
    for dialect in (Tokenizer, CountTokens):
        assert dialect(models, lambda: rules).read(asked(own)).body == orjson.dumps(own)


def test_p124_affinity_follows_the_salt() -> None:
    content = {"messages": [{"role": "user", "content": "x" * 4000}]}
    assert not set(prefix_affinity.blocks(content, "m", salt="a")) & set(prefix_affinity.blocks(content, "m", salt="b"))
    assert prefix_affinity.blocks(content, "m", salt=None) == prefix_affinity.blocks(content, "m")


@pytest.mark.parametrize(("dialect", "body"), BODIES)
def test_p125_an_alias_is_sent_as_the_model_it_stands_for(dialect: Any, body: dict[str, Any]) -> None:
    call = dialect(models, lambda: Rules(aliases={"gpt-*": "tiny"})).read(asked({"model": "gpt-5"} | body))
    assert call.model == "tiny"
    assert orjson.loads(call.body)["model"] == "tiny"


@pytest.mark.parametrize(
    ("dialect", "member", "body"),
    [
        (OpenAI, "max_tokens", {"messages": MESSAGES}),
        (OpenAI, "max_completion_tokens", {"messages": MESSAGES}),
        (OpenAI, "max_tokens", {"prompt": "x"}),
        (Responses, "max_output_tokens", {"input": "x"}),
        (Anthropic, "max_tokens", {"messages": MESSAGES}),
    ],
)
def test_p126_a_longer_answer_than_the_context_is_asked_for_as_far_as_it_goes(
    dialect: Any, member: str, body: dict[str, Any]
) -> None:
    clamping = Rules(RequestLimits(clamp_max_tokens=True))
    body = {"model": "tiny", member: 32_000} | body
    call = dialect(models, lambda: clamping).read(asked(body))
    assert orjson.loads(call.body) == body | {member: 4096}
    assert call.output_tokens == 4096
    with pytest.raises(Exception, match="context is 4096 tokens"):
        dialect(models).read(asked(body))
    small = body | {member: 100}
    assert dialect(models, lambda: clamping).read(asked(small)).body == orjson.dumps(small)


def test_p125_through_the_gateway(start_engine: Callable[..., Engine], start_gateway: Callable[..., Gateway]) -> None:
    engine = start_engine()
    gateway = start_gateway([engine.url], aliases={"gpt-4o-mini": "tiny", "claude-*": "tiny"}, prefix_sharing="key")
    gateway.wait_up()
    with gateway.client() as client:
        for name in ("gpt-4o-mini", "claude-sonnet-5"):
            answer = client.post("/v1/chat/completions", json=chat() | {"model": name})
            assert answer.status_code == 200 and answer.json()["model"] == "tiny"
            assert engine.last_body()["model"] == "tiny"
            assert client.get(f"/v1/models/{name}").json()["id"] == "tiny"
        mine = engine.last_body()["cache_salt"]
        assert [card["id"] for card in client.get("/v1/models").json()["data"]] == ["tiny"]
        assert (
            error_of(client.post("/v1/chat/completions", json=chat() | {"model": "gpt-5"}))["code"] == "model_not_found"
        )
        client.post("/v1/chat/completions", json=chat(), headers=bearer(OTHER_KEY))
        assert engine.last_body()["cache_salt"] != mine
        ollama = client.post("/api/chat", json={"model": "gpt-4o-mini", "messages": MESSAGES, "stream": False})
        assert ollama.json()["model"] == "gpt-4o-mini"
        assert client.post("/api/show", json={"model": "gpt-4o-mini:latest"}).status_code in (200, 404)
    assert gateway.metric("gateway_requests_total", model="tiny") >= 4
    gateway.config.write_text(gateway.config.read_text().replace("gpt-4o-mini", "gpt-5-mini"))
    with gateway.client() as client:
        asked = chat() | {"model": "gpt-5-mini"}
        wait_until(lambda: client.post("/v1/chat/completions", json=asked).status_code == 200, 5, "aliases reloaded")
    assert httpx.get(f"{gateway.url}/v1/models", headers=bearer(KEY)).status_code == 200
