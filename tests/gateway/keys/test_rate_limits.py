"""What a key may, told and kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from openai import OpenAI, RateLimitError

from gateway.core.call import Call, Principal, Usage
from gateway.core.errors import Overloaded
from gateway.core.record import RequestRecord
from gateway.keys.buckets import LocalBuckets
from gateway.keys.rate_limits import KeyLimits, duration
from tests.gateway.harness import Engine, Gateway, Raw, bearer, chat, chat_bytes, error_of, keys, post_bytes, wait_until

URL = "/v1/chat/completions"
SOON_S = 3.0


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def with_key(start_gateway: Callable[..., Gateway], engine: Engine, store: Path) -> Callable[..., tuple[Gateway, str]]:
    """A gateway and a key with some terms: ``with_key("--concurrent", "2")``."""

    def make(*terms: str) -> tuple[Gateway, str]:
        key = keys(store, "create", "alice", *terms)["key"]
        gateway = start_gateway([engine.url], store=str(store))
        gateway.wait_up()
        return gateway, key

    return make


def limited(gateway: Gateway, reason: str) -> float:
    sample = f'gateway_limited_total{{deployment="test",reason="{reason}"}} '
    return float(gateway.metrics().partition(sample)[2].partition("\n")[0])


def test_p74_models_that_a_key_may_not_use_are_403_and_not_listed(with_key: Callable[..., tuple[Gateway, str]]) -> None:
    gateway, key = with_key("--models", "another")
    with httpx.Client(base_url=gateway.url, headers=bearer(key)) as client:
        for model in ("tiny", "unknown"):  # it is not told which of them there are
            refused = client.post(URL, json=chat() | {"model": model})
            assert refused.status_code == 403
            error = error_of(refused)
            assert (error["code"], error["param"]) == ("model_not_allowed", "model")
            assert "it may use 'another'" in error["message"] and "'tiny'" not in error["message"].replace(
                f"'{model}'", ""
            )
        assert client.post(URL, json=chat() | {"model": "another"}).status_code == 404
        assert client.get("/v1/models").json()["data"] == []
    with gateway.client() as client:
        assert [card["id"] for card in client.get("/v1/models").json()["data"]] == ["tiny"]


def test_p75_requests_per_minute_are_counted_down_and_refused(with_key: Callable[..., tuple[Gateway, str]]) -> None:
    gateway, key = with_key("--requests-per-minute", "3")
    with httpx.Client(base_url=gateway.url, headers=bearer(key)) as client:
        answers = [client.post(URL, json=chat()) for _ in range(3)]
        refused = client.post(URL, json=chat())
    assert [answer.status_code for answer in answers] == [200] * 3
    assert [answer.headers["x-ratelimit-limit-requests"] for answer in answers] == ["3"] * 3
    assert [answer.headers["x-ratelimit-remaining-requests"] for answer in answers] == ["2", "1", "0"]
    assert refused.status_code == 429
    assert "this key's limit of 3 requests a minute is reached" in error_of(refused)["message"]
    assert 15 < int(refused.headers["retry-after"]) <= 20
    assert 0 <= int(refused.headers["retry-after"]) - int(refused.headers["retry-after-ms"]) / 1000 < 1
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    assert refused.headers["x-ratelimit-reset-requests"] in {"1m0s", *(f"{seconds}s" for seconds in range(50, 60))}
    assert limited(gateway, "requests_per_minute") == 1


def test_p75_retry_after_is_when_it_works_again(with_key: Callable[..., tuple[Gateway, str]]) -> None:
    gateway, key = with_key("--requests-per-minute", "60")
    with httpx.Client(base_url=gateway.url, headers=bearer(key)) as client:
        while (answer := client.post(URL, json=chat(max_tokens=1))).status_code == 200:
            pass
        time.sleep(int(answer.headers["retry-after-ms"]) / 1000 + 0.01)
        assert client.post(URL, json=chat(max_tokens=1)).status_code == 200


def test_p75_openais_client_waits_as_told(with_key: Callable[..., tuple[Gateway, str]]) -> None:
    gateway, key = with_key("--requests-per-minute", "30")  # one in 2 s, which any machine is faster than
    with OpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=0) as client, pytest.raises(RateLimitError):
        for _ in range(60):
            client.chat.completions.create(model="tiny", messages=[], max_tokens=1)
    with OpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=5) as client:
        for _ in range(2):
            assert client.chat.completions.create(model="tiny", messages=[], max_tokens=1).usage is not None


def test_p76_tokens_per_minute_are_set_right_by_what_was_used(
    with_key: Callable[..., tuple[Gateway, str]], engine: Engine
) -> None:
    engine.turn(itl_ms=0)
    gateway, key = with_key("--tokens-per-minute", "1000")
    with httpx.Client(base_url=gateway.url, headers=bearer(key)) as client:
        first = client.post(URL, json=chat(max_tokens=10))
        left = int(client.post(URL, json=chat(max_tokens=1)).headers["x-ratelimit-remaining-tokens"])
        # The estimates of the second request are gone from it; the first has cost 11 tokens in the end.
        assert first.json()["usage"]["total_tokens"] == 11
        assert 940 <= left <= 989
        assert client.post(URL, json=chat(max_tokens=3000)).status_code == 200  # its answer is a debt
        refused = client.post(URL, json=chat(max_tokens=1))
    assert refused.status_code == 429
    assert "1000 tokens a minute" in error_of(refused)["message"]
    assert 100 < int(refused.headers["retry-after"]) < 130
    assert limited(gateway, "tokens_per_minute") == 1


def test_p76_what_the_engine_refuses_costs_no_tokens(with_key: Callable[..., tuple[Gateway, str]]) -> None:
    gateway, key = with_key("--tokens-per-minute", "1000")
    with httpx.Client(base_url=gateway.url, headers=bearer(key)) as client:
        assert client.post(URL, json=chat(max_tokens=100_000)).status_code == 400
        answer = client.post(URL, json=chat(max_tokens=1))
    assert int(answer.headers["x-ratelimit-remaining-tokens"]) >= 960


def test_p77_requests_at_once_are_bounded_and_the_place_comes_back(
    with_key: Callable[..., tuple[Gateway, str]], engine: Engine
) -> None:
    gateway, key = with_key("--concurrent", "2")
    engine.turn(ttft_ms=60_000)
    body = chat_bytes(stream=True)
    with httpx.Client(base_url=gateway.url, headers=bearer(key)) as client:
        for _ in range(2):
            raws = [Raw(gateway.port) for _ in range(2)]
            for raw in raws:
                raw.send(post_bytes(body, f"Content-Length: {len(body)}", key=key))
            wait_until(lambda: engine.running() == 2, 5, "both running")
            refused = client.post(URL, json=chat())
            assert refused.status_code == 429
            assert "2 requests at once" in error_of(refused)["message"]
            assert refused.headers["retry-after"] == "1"
            for raw in raws:
                raw.socket.close()
            wait_until(lambda: engine.running() == 0, 5, "both gone")
        engine.turn(ttft_ms=20)
        assert client.post(URL, json=chat()).status_code == 200
    assert limited(gateway, "concurrent") == 2


def test_p77_another_keys_limits_are_its_own(with_key: Callable[..., tuple[Gateway, str]], store: Path) -> None:
    gateway, key = with_key("--requests-per-minute", "1")
    other = keys(store, "create", "bob", "--requests-per-minute", "1")["key"]
    url = gateway.url + URL
    wait_until(lambda: httpx.get(f"{gateway.url}/v1/models", headers=bearer(other)).status_code == 200, SOON_S, "known")
    assert [httpx.post(url, headers=bearer(key), json=chat()).status_code for _ in range(2)] == [200, 429]
    assert [httpx.post(url, headers=bearer(other), json=chat()).status_code for _ in range(2)] == [200, 429]
    with gateway.client() as client:
        answer = client.post(URL, json=chat())
    assert answer.status_code == 200
    assert not [name for name in answer.headers if name.startswith("x-ratelimit")]


def test_p77_many_at_once_never_get_more_than_the_limit(with_key: Callable[..., tuple[Gateway, str]]) -> None:
    gateway, key = with_key("--requests-per-minute", "20")
    found: list[int] = []

    def ask() -> None:
        with httpx.Client(base_url=gateway.url, headers=bearer(key)) as client:
            found.extend(client.post(URL, json=chat(max_tokens=1)).status_code for _ in range(10))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(found) == {200, 429}
    assert 20 <= found.count(200) <= 20 + (time.monotonic() - began) / 3 + 1


def test_a_request_that_is_refused_for_its_tokens_is_not_counted_as_one() -> None:
    now = 0.0
    limits = KeyLimits(LocalBuckets(), lambda: now)
    who = Principal("a", requests_per_minute=10, tokens_per_minute=100)
    call = Call("m", True, b"/", b"", prompt_tokens=90, output_tokens=5, expected_output=5)
    record = RequestRecord("id", 0.0)
    record.principal, record.call = who, call
    assert b"remaining-requests: 9" in limits.enter(record)
    record.usage = Usage(90, 5, exact=True)
    limits.leave(record)
    with pytest.raises(Overloaded) as refused:
        limits.enter(record)
    assert refused.value.reason == "tokens_per_minute"
    assert refused.value.retry_after == 54  # 90 of 95 have to come back, at 100 a minute
    now = 54.0
    assert b"remaining-requests: 9" in limits.enter(record)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, b"0ms"), (0.0123, b"13ms"), (1, b"1s"), (1.5, b"2s"), (59.5, b"1m0s"), (60, b"1m0s"), (361.2, b"6m2s")],
)
def test_times_are_written_as_openais_clients_know_them(seconds: float, text: bytes) -> None:
    assert duration(seconds) == text


def test_p184_a_key_for_an_adapter_may_use_it_and_not_its_base(
    start_engine: Callable[..., Engine], start_gateway: Callable[..., Gateway], store: Path
) -> None:
    key = keys(store, "create", "alice", "--models", "sql")["key"]
    numbers = {"max_num_seqs": 1, "max_num_batched_tokens": 1, "max_model_len": 4096, "kv_cache_tokens": 4096}
    adapted = {"models": ["tiny", "sql"], "adapters": {"sql": "tiny"}}
    section = {"name": "e", "url": start_engine(model="sql").url, **adapted, **numbers}
    gateway = start_gateway([], store=str(store), engines=[section])
    gateway.wait_up()
    with httpx.Client(base_url=gateway.url, headers=bearer(key)) as client:
        assert [card["id"] for card in client.get("/v1/models").json()["data"]] == ["sql"]
        assert client.post(URL, json=chat() | {"model": "sql"}).status_code == 200
        refused = client.post(URL, json=chat() | {"model": "tiny"})
    assert refused.status_code == 403 and "it may use 'sql'" in error_of(refused)["message"]
