"""What is answered without an engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from openai import NotFoundError, OpenAI

from tests.gateway.harness import KEY, Engine, Gateway, error_of, wait_until

NAMES = ("Qwen/Qwen2.5-7B", "with space", "a+b:c", "naïve")


def test_p58_one_model_however_its_name_is_quoted(gateway: Gateway) -> None:
    with OpenAI(base_url=f"{gateway.url}/v1", api_key=KEY, max_retries=0) as sdk:
        assert sdk.models.retrieve("tiny").id == "tiny"
        with pytest.raises(NotFoundError, match="'tiny'") as caught:
            sdk.models.retrieve("gpt-4/../tiny")
    assert caught.value.code == "model_not_found"


def test_p58_names_with_slashes_and_the_like(
    start_engine: Callable[..., Engine], start_gateway: Callable[..., Gateway], tmp_path: Path
) -> None:
    del tmp_path
    engine = start_engine(model=NAMES[0])
    numbers = {"max_num_seqs": 1, "max_num_batched_tokens": 1, "max_model_len": 7, "kv_cache_tokens": 1}
    section = {"name": "e", "url": engine.url, "models": list(NAMES), **numbers}
    gateway = start_gateway([], engines=[section])
    gateway.wait_up()
    with gateway.client() as client:
        for name in NAMES:
            for path in {quote(name), quote(name, safe="")}:
                assert client.get(f"/v1/models/{path}").json()["id"] == name
        assert client.get("/v1/models/Qwen%252FQwen2.5-7B").status_code == 404
        assert [card["name"] for card in client.get("/api/tags").json()["models"]][:1] == [f"{NAMES[0]}:latest"]
        # Configured but not served: Ollama's `ps` leaves it out.
        wait_until(lambda: bool(client.get("/api/ps").json()["models"]), 5, "the served model listed")
        assert [card["name"] for card in client.get("/api/ps").json()["models"]] == [f"{NAMES[0]}:latest"]


def test_p58_pages_answer_head_and_name_their_methods(client: httpx.Client) -> None:
    for path in ("/", "/v1/models", "/v1/models/tiny", "/api/tags", "/livez", "/openapi.json"):
        head = client.head(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == client.get(path).headers["content-length"]
        refused = client.put(path)
        assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")
    assert error_of(client.put("/livez"))["code"] == "method_not_allowed"


def test_p165_health_shows_no_address_where_others_can_ask(
    start_gateway: Callable[..., Gateway],
) -> None:
    addresses = ("127.0.0.1:1", "[::1]:1")
    section = {"max_num_seqs": 1, "max_num_batched_tokens": 1, "max_model_len": 7, "kv_cache_tokens": 1}
    engines = [{"name": f"e{n}", "url": f"http://{url}", "models": ["m"], **section} for n, url in enumerate(addresses)]
    gateway = start_gateway([], engines=engines)

    def reasons(url: str) -> list[str]:
        return [engine.get("reason", "") for engine in httpx.get(f"{url}/health").json()["engines"]]

    wait_until(lambda: all("refused" in reason for reason in reasons(gateway.url)), 10, "asked")
    assert not any(address in reason for reason in reasons(gateway.url) for address in ("127.0.0.1", "::1"))
    assert not any(secret in httpx.get(f"{gateway.url}/openapi.json").text for secret in ("127.0.0.1", "e0", '"m"'))
    assert all("refused" in reason for reason in reasons(gateway.watched))


def test_p184_an_adapter_is_a_model_that_names_its_base(
    start_engine: Callable[..., Engine], start_gateway: Callable[..., Gateway]
) -> None:
    numbers = {"max_num_seqs": 1, "max_num_batched_tokens": 1, "max_model_len": 7, "kv_cache_tokens": 1}
    section = {
        "name": "e",
        "url": start_engine().url,
        "models": ["tiny", "sql"],
        "adapters": {"sql": "tiny"},
        **numbers,
    }
    gateway = start_gateway([], engines=[section])
    gateway.wait_up()
    with gateway.client() as client:
        cards = {card["id"]: card for card in client.get("/v1/models").json()["data"]}
        assert cards["sql"]["parent"] == "tiny" and "parent" not in cards["tiny"]
        assert not {"root", "permission"} & {key for card in cards.values() for key in card}
        assert client.get("/v1/models/sql").json() == cards["sql"]
        tags = {card["name"]: card["details"]["parent_model"] for card in client.get("/api/tags").json()["models"]}
        assert tags == {"tiny:latest": "", "sql:latest": "tiny"}
        assert client.post("/api/show", json={"model": "sql"}).json()["details"]["parent_model"] == "tiny"
