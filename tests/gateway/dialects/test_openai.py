"""OpenAI's API beyond chat: responses, and what vLLM serves for models of other kinds."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from openai import APIError, BadRequestError, OpenAI
from openai.types.responses import ResponseCompletedEvent, ResponseErrorEvent, ResponseTextDeltaEvent

from gateway.dialects.openai import engine_message
from tests.gateway.harness import KEY, Engine, Gateway, chat, error_of, wait_until


@pytest.fixture
def sdk(gateway: Gateway) -> OpenAI:
    return OpenAI(base_url=f"{gateway.url}/v1", api_key=KEY, max_retries=0)


def counted(gateway: Gateway, before: dict[str, float]) -> dict[str, float]:
    """Tokens counted since then; they are counted when the answer has been sent."""
    wait_until(lambda: gateway.tokens() != before, 5, "tokens counted")
    return {kind: count - before[kind] for kind, count in gateway.tokens().items()}


def test_p50_the_responses_api_whole_and_streamed(sdk: OpenAI, gateway: Gateway) -> None:
    before = gateway.tokens()
    whole = sdk.responses.create(model="tiny", input="hello, you", max_output_tokens=4)
    assert whole.output_text == "xxxx " * 4
    assert whole.usage is not None and whole.usage.output_tokens == 4
    assert counted(gateway, before) == {"prompt": 2, "completion": 4, "cached_prompt": 1}
    before = gateway.tokens()
    events = list(sdk.responses.create(model="tiny", input="hello, you", max_output_tokens=3, stream=True))
    assert [event.delta for event in events if isinstance(event, ResponseTextDeltaEvent)] == ["xxxx "] * 3
    assert isinstance(events[-1], ResponseCompletedEvent)
    # The tools that the engine repeats hold what looks like a count; it is not taken for one.
    assert counted(gateway, before) == {"prompt": 2, "completion": 3, "cached_prompt": 1}


def test_p50_a_count_that_the_client_put_into_its_tools_is_not_believed(gateway: Gateway, engine: Engine) -> None:
    engine.turn(itl_ms=50)
    before = gateway.tokens()
    body = {"model": "tiny", "input": "hello, you", "stream": True, "max_output_tokens": 500}
    with gateway.client() as client, client.stream("POST", "/v1/responses", json=body) as response:
        lines = response.iter_lines()
        for _ in range(25):
            next(lines)
    assert counted(gateway, before)["completion"] >= 4


@pytest.mark.parametrize("fault", ["mid-stream", "no-done", "error-event"])
def test_p50_a_broken_stream_of_the_responses_api_ends_with_its_error_event(
    sdk: OpenAI, engine: Engine, fault: str
) -> None:
    engine.turn(fault=fault)
    stream = sdk.responses.create(model="tiny", input="hello", max_output_tokens=8, stream=True)
    events: list[Any] = []
    try:
        events.extend(stream)
    except APIError as error:
        assert "engine" in str(error)
    else:
        assert isinstance(events[-1], ResponseErrorEvent)
        assert events[-1].code == "engine_broken"


@pytest.mark.parametrize("member", [{"previous_response_id": "resp_1"}, {"background": True}, {"conversation": "c"}])
def test_p50_what_needs_a_store_is_refused(sdk: OpenAI, member: dict[str, Any]) -> None:
    with pytest.raises(BadRequestError, match="no responses are stored") as caught:
        sdk.responses.create(model="tiny", input="hello", extra_body=member)
    assert caught.value.param == next(iter(member))


def test_p50_stored_responses_have_no_path(client: httpx.Client) -> None:
    assert client.get("/v1/responses/resp_1").status_code == 404
    assert client.post("/v1/responses/resp_1/cancel", json={}).status_code == 404


def test_p51_what_the_engine_has_passes_through(client: httpx.Client, engine: Engine) -> None:
    request = {"model": "tiny", "text_1": "a", "text_2": ["b", "c"]}
    scores = client.post("/v1/score", json=request).json()
    assert [each["score"] for each in scores["data"]] == [0.5, 0.5]
    assert engine.last_body() == request
    assert client.post("/tokenize", json={"model": "tiny", "prompt": "x" * 40}).json()["count"] == 10
    assert client.post("/detokenize", json={"model": "tiny", "tokens": [1, 2]}).json() == {"prompt": "xx"}


def test_p51_what_the_engine_lacks_is_told_in_openais_shape(client: httpx.Client, gateway: Gateway) -> None:
    before = gateway.metric("gateway_requests_total", endpoint="/pooling", outcome="engine_rejected")
    for path in ("/score", "/v1/rerank", "/rerank", "/v2/rerank", "/classify", "/pooling"):
        refused = client.post(path, json={"model": "tiny", "query": "q", "documents": ["a"]})
        assert refused.status_code == 404
        assert error_of(refused)["code"] == "not_served"
    assert gateway.metric("gateway_requests_total", endpoint="/pooling", outcome="engine_rejected") == before + 1


def test_p52_counting_tokens_and_refused_requests_are_not_billed(client: httpx.Client, gateway: Gateway) -> None:
    before = gateway.tokens()
    client.post("/tokenize", json={"model": "tiny", "prompt": "x" * 4000})
    too_long = chat(messages=[{"role": "user", "content": "x" * 20_000}])
    assert client.post("/v1/chat/completions", json=too_long).status_code == 400
    assert client.post("/v1/chat/completions", json=chat(max_tokens=3)).status_code == 200
    assert counted(gateway, before) == {"prompt": 1, "completion": 3, "cached_prompt": 0}


def test_p52_a_client_that_did_not_ask_for_usage_does_not_see_it(gateway: Gateway) -> None:
    before = gateway.tokens()
    options = {"include_usage": False, "continuous_usage_stats": True}
    with gateway.client() as client:
        streamed = client.post("/v1/chat/completions", json=chat(stream=True, max_tokens=3, stream_options=options))
    assert "usage" not in streamed.text
    assert streamed.text.endswith("data: [DONE]\n\n")
    assert counted(gateway, before) == {"prompt": 1, "completion": 3, "cached_prompt": 0}


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (404, b'{"detail":"Not Found"}', "the engine of this model does not serve this API"),
        (400, b'{"detail":"There was an error parsing the body"}', "There was an error parsing the body"),
        (400, b'{"error":{"message":"too long","code":400}}', "too long"),
        (400, b'{"type":"error","error":{"type":"x","message":"no"}}', "no"),
        (400, b'{"error":"flat"}', "flat"),
        (400, b"[]", "the engine refused this request"),
        (400, b"<html>", "the engine refused this request"),
        (400, b'{"error":{"message":3}}', "the engine refused this request"),
    ],
)
def test_what_an_engine_says_is_found_in_every_shape(status: int, body: bytes, message: str) -> None:
    assert engine_message(status, body) == message
