"""Anthropic's client against the gateway."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from anthropic import Anthropic, APIStatusError, AuthenticationError, BadRequestError, NotFoundError
from anthropic.types import TextBlock

from tests.gateway.dialects.test_openai import counted
from tests.gateway.harness import KEY, Engine, Gateway, Raw, post_bytes

MESSAGES = [{"role": "user", "content": "hello, you"}]


def anthropic(gateway: Gateway, key: str = KEY) -> Anthropic:
    return Anthropic(base_url=gateway.url, api_key=key, max_retries=0)


@pytest.fixture
def sdk(gateway: Gateway) -> Iterator[Anthropic]:
    with anthropic(gateway) as client:
        yield client


def test_p53_a_whole_message(sdk: Anthropic, gateway: Gateway) -> None:
    before = gateway.tokens()
    answer = sdk.messages.create(model="tiny", max_tokens=4, messages=[{"role": "user", "content": "hello, you"}])
    assert [block.text for block in answer.content if isinstance(block, TextBlock)] == ["xxxx " * 4]
    assert answer.stop_reason == "max_tokens"
    # Anthropic's input_tokens leaves out what came from the cache; a prompt's tokens are all of it.
    assert (answer.usage.input_tokens, answer.usage.cache_read_input_tokens) == (1, 1)
    assert counted(gateway, before) == {"prompt": 2, "completion": 4, "cached_prompt": 1}


def test_p53_a_streamed_message(sdk: Anthropic, gateway: Gateway) -> None:
    before = gateway.tokens()
    with sdk.messages.stream(
        model="tiny", max_tokens=4, messages=[{"role": "user", "content": "hello, you"}]
    ) as stream:
        assert list(stream.text_stream) == ["xxxx "] * 4
        assert stream.get_final_message().usage.output_tokens == 4
    assert counted(gateway, before) == {"prompt": 2, "completion": 4, "cached_prompt": 1}
    assert gateway.metric("gateway_requests_total", endpoint="/v1/messages", outcome="ok") > 0


def test_p53_what_a_message_that_was_left_has_cost(gateway: Gateway, engine: Engine) -> None:
    engine.turn(itl_ms=50)
    before = gateway.tokens()
    body = {"model": "tiny", "max_tokens": 500, "messages": MESSAGES, "stream": True}
    with gateway.client() as client, client.stream("POST", "/v1/messages", json=body) as response:
        lines = response.iter_lines()
        for _ in range(18):
            next(lines)
    found = counted(gateway, before)
    assert found["prompt"] == 2
    assert 4 <= found["completion"] < 100


def test_p53_tokens_are_counted_without_billing(sdk: Anthropic, gateway: Gateway) -> None:
    before = gateway.tokens()
    assert sdk.messages.count_tokens(model="tiny", messages=[{"role": "user", "content": "x"}]).input_tokens > 0
    assert gateway.tokens() == before


def test_p53_p183_the_models_are_listed_for_this_client_too(sdk: Anthropic) -> None:
    found = list(sdk.models.list())
    assert [(model.id, model.type, model.display_name) for model in found] == [("tiny", "model", "tiny")]
    one = sdk.models.retrieve("tiny")
    assert one.created_at.year > 2000
    # An object to this client, a list to all others.
    assert found[0].capabilities is not None and found[0].capabilities.structured_outputs.supported
    assert one.max_input_tokens == 4096


def test_p54_errors_have_anthropics_shape(gateway: Gateway, sdk: Anthropic) -> None:
    with anthropic(gateway, "fb-wrong-key-000000") as stranger, pytest.raises(AuthenticationError) as wrong_key:
        stranger.messages.create(model="tiny", max_tokens=4, messages=[{"role": "user", "content": "x"}])
    with pytest.raises(NotFoundError, match="'tiny'") as unknown:
        sdk.messages.create(model="claude", max_tokens=4, messages=[{"role": "user", "content": "x"}])
    with pytest.raises(BadRequestError, match="context is 4096") as too_long:
        sdk.messages.create(model="tiny", max_tokens=5000, messages=[{"role": "user", "content": "x"}])
    with pytest.raises(BadRequestError, match="maximum context length") as engines:
        sdk.messages.create(model="tiny", max_tokens=40, messages=[{"role": "user", "content": "x" * 20_000}])
    kinds = {error.value.type for error in (too_long, engines)}
    assert (wrong_key.value.type, unknown.value.type, kinds) == (
        "authentication_error", "not_found_error", {"invalid_request_error"},
    )  # fmt: skip


def test_p54_an_unknown_path_below_messages_and_a_wrong_method(client: httpx.Client) -> None:
    for refused in (client.post("/v1/messages/batches", json={}), client.get("/v1/messages")):
        assert refused.json()["type"] == "error"
        assert set(refused.json()["error"]) == {"type", "message"}
    assert client.get("/v1/messages").headers["allow"] == "POST"


@pytest.mark.parametrize("fault", ["mid-stream", "no-done", "error-event"])
def test_p54_a_broken_stream_ends_with_an_error_event(
    gateway: Gateway, sdk: Anthropic, engine: Engine, fault: str
) -> None:
    engine.turn(fault=fault)
    outcome = "engine_error" if fault == "error-event" else "cut"
    before = gateway.metric("gateway_requests_total", endpoint="/v1/messages", outcome=outcome)
    with pytest.raises(APIStatusError, match="engine|EngineCore"):
        list(sdk.messages.create(model="tiny", max_tokens=8, messages=[{"role": "user", "content": "x"}], stream=True))
    assert gateway.metric("gateway_requests_total", endpoint="/v1/messages", outcome=outcome) == before + 1


def test_p54_an_engine_that_is_down_is_told_in_anthropics_shape(sdk: Anthropic, engine: Engine) -> None:
    engine.turn(fault="before-headers")
    with pytest.raises(APIStatusError) as caught:
        sdk.messages.create(model="tiny", max_tokens=8, messages=[{"role": "user", "content": "x"}])
    assert (caught.value.status_code, caught.value.type) == (502, "api_error")


def test_p54_a_body_over_the_limit_is_told_in_anthropics_shape(gateway: Gateway) -> None:
    with Raw(gateway.port) as raw:
        raw.send(post_bytes(b"{", "Content-Length: 99999999", path="/v1/messages"))
        answer = raw.read_to_close()
    assert b'{"type":"error","error":{"type":"request_too_large"' in answer
