"""Paths, keys, bodies, models: what a client meets before an engine does."""

from __future__ import annotations

import json
import time

import httpx
import pytest
from openai import AuthenticationError, NotFoundError, OpenAI

from tests.gateway.harness import KEY, Engine, Gateway, Raw, chat, error_of, post_bytes


def openai_client(gateway: Gateway, key: str = KEY) -> OpenAI:
    return OpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=0)


def test_p1_openai_client_gets_a_whole_answer(gateway: Gateway) -> None:
    with openai_client(gateway) as client:
        answer = client.chat.completions.create(
            model="tiny", messages=[{"role": "user", "content": "hi"}], max_tokens=4
        )
        plain = client.completions.create(model="tiny", prompt="hi", max_tokens=2)
        vectors = client.embeddings.create(model="tiny", input=["a", "b"], encoding_format="float")
    assert answer.choices[0].message.content == "xxxx " * 4
    assert answer.usage is not None and answer.usage.completion_tokens == 4
    assert plain.choices[0].text == "xxxx " * 2
    assert len(vectors.data) == 2


def test_p1_openai_client_streams(gateway: Gateway) -> None:
    with openai_client(gateway) as client:
        stream = client.chat.completions.create(
            model="tiny", messages=[{"role": "user", "content": "hi"}], max_tokens=5, stream=True,
            stream_options={"include_usage": True},
        )  # fmt: skip
        events = list(stream)
    assert "".join(event.choices[0].delta.content or "" for event in events if event.choices) == "xxxx " * 5
    assert events[-1].usage is not None and events[-1].usage.completion_tokens == 5


def test_p1_tokens_come_one_by_one(client: httpx.Client, engine: Engine) -> None:
    engine.turn(itl_ms=60)
    with client.stream("POST", "/v1/chat/completions", json=chat(stream=True, max_tokens=6)) as response:
        times = [time.monotonic() for _ in response.iter_raw()]
    assert len(times) >= 5
    assert times[-1] - times[0] > 0.2


def test_p1_the_engines_bytes_are_not_changed(client: httpx.Client, engine: Engine) -> None:
    ours = client.post("/v1/chat/completions", json=chat(stream=True, max_tokens=3)).content
    direct = httpx.post(f"{engine.url}/v1/chat/completions", json=chat(stream=True, max_tokens=3)).content

    def without_ids(body: bytes) -> list[str]:
        return [line.partition('"model"')[2] for line in body.decode().splitlines()]

    assert without_ids(ours) == without_ids(direct)


def test_p2_every_response_has_its_own_request_id(gateway: Gateway, client: httpx.Client) -> None:
    paths = ["/health", "/livez", "/metrics", "/v1/models", "/nowhere"]
    ids = [client.get(path).headers["x-request-id"] for path in paths]
    ids.append(client.post("/v1/chat/completions", json=chat()).headers["x-request-id"])
    with Raw(gateway.port) as raw:
        raw.send(b"nonsense\r\n\r\n")
        ids.append(raw.read_to_close().partition(b"x-request-id: ")[2].split(b"\r\n")[0].decode())
    assert len(set(ids)) == len(ids)
    assert all(ids)


def test_p4_a_key_is_needed_and_either_header_will_do(gateway: Gateway) -> None:
    url = f"{gateway.url}/v1/models"
    assert httpx.get(url, headers={"x-api-key": KEY}).status_code == 200
    assert httpx.get(url, headers={"authorization": f"bearer {KEY}"}).status_code == 200
    for headers in ({}, {"x-api-key": KEY[:-1]}, {"authorization": f"Basic {KEY}"}, {"authorization": "Bearer"}):
        refused = httpx.get(url, headers=headers)
        assert refused.status_code == 401
        assert error_of(refused)["code"] == "invalid_api_key"
    with openai_client(gateway, "fb-wrong-key-000000") as client, pytest.raises(AuthenticationError):
        client.models.list()
    for path in ("/health", "/livez", "/metrics"):
        assert httpx.get(gateway.url + path).status_code == 200


def test_p4_the_key_is_judged_before_the_body_comes(gateway: Gateway) -> None:
    with Raw(gateway.port) as raw:
        raw.send(post_bytes(b"", "Content-Length: 1000", key="wrong-key-000000"))
        answer = raw.read_to_close()
    assert answer.startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize(
    "path",
    ["/index", "/v1", "/v1/chat/completions/", "/v1//models", "/v1/%6dodels", "/health/../metrics", "/pause"],
)
def test_p5_other_paths_are_not_found(gateway: Gateway, path: str) -> None:
    with Raw(gateway.port) as raw:
        raw.send(f"GET {path} HTTP/1.1\r\nHost: g\r\n\r\n".encode())
        head, _, body = raw.read_to_close().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 404 ")
    assert json.loads(body)["error"]["code"] == "not_found"


def test_p5_another_method_is_405_and_a_query_is_ignored(client: httpx.Client) -> None:
    assert client.get("/v1/chat/completions").status_code == 405
    assert client.delete("/health").status_code == 405
    assert client.head("/health").content == b""
    assert client.get("/health?verbose=1").status_code == 200


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"", None),
        (b"{", None),
        (b"[1]", None),
        (b'{"messages": []}', "model"),
        (b'{"model": 3}', "model"),
        (b'{"model": "tiny", "stream": "yes"}', "stream"),
        (b"[" * 100_000, None),
        (b'{"model": "\xff"}', None),
    ],
)
def test_p3_p6_a_bad_body_is_400_and_names_the_field(client: httpx.Client, body: bytes, param: str | None) -> None:
    refused = client.post("/v1/chat/completions", content=body)
    assert refused.status_code == 400
    assert error_of(refused)["param"] == param


def test_p6_a_compressed_body_is_415(client: httpx.Client) -> None:
    refused = client.post("/v1/completions", content=b"x", headers={"content-encoding": "gzip"})
    assert refused.status_code == 415
    assert error_of(refused)["code"] == "unsupported_content_encoding"


def test_p7_an_unknown_model_is_404_and_lists_those_there_are(gateway: Gateway) -> None:
    with openai_client(gateway) as client:
        with pytest.raises(NotFoundError, match="'tiny'") as caught:
            client.chat.completions.create(model="gpt-4", messages=[])
        listed = list(client.models.list())
    assert caught.value.code == "model_not_found"
    assert caught.value.param == "model"
    assert [(model.id, model.owned_by) for model in listed] == [("tiny", "fullbatch")]


def test_p8_a_body_over_the_limit_is_413_before_it_is_read(gateway: Gateway, client: httpx.Client) -> None:
    with Raw(gateway.port) as raw:
        raw.send(post_bytes(b"{", "Content-Length: 10485761"))
        assert raw.read_to_close().startswith(b"HTTP/1.1 413 ")
    refused = client.post("/v1/chat/completions", content=b"x" * 12_000_000)
    assert refused.status_code == 413
    assert "10485760" in error_of(refused)["message"]


def test_p8_a_chunked_body_over_the_limit_is_413(gateway: Gateway) -> None:
    with Raw(gateway.port) as raw:
        raw.send(post_bytes(b"", "Transfer-Encoding: chunked"))
        piece = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
        try:
            for _ in range(12):
                raw.send(piece)
        except ConnectionError:
            pass
        assert raw.read_to_close().startswith(b"HTTP/1.1 413 ")


def test_p8_a_body_just_within_the_limit_passes(client: httpx.Client) -> None:
    content = "x" * 8000
    body = chat(messages=[{"role": "user", "content": content}], max_tokens=1, metadata={"pad": "y" * 9_000_000})
    assert client.post("/v1/chat/completions", json=body).status_code == 200


def test_p10_the_engines_own_4xx_passes_through(client: httpx.Client) -> None:
    refused = client.post("/v1/chat/completions", json=chat(messages=[{"role": "user", "content": "x" * 20_000}]))
    assert refused.status_code == 400
    assert refused.json()["error"]["type"] == "BadRequestError"
    assert "maximum context length is 4096" in refused.json()["error"]["message"]
