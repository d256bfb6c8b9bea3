"""Web pages that ask the gateway from a browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from gateway.config.setting_types import Cors
from tests.gateway.harness import Engine, Gateway, chat, run, write_config

PAGE = "https://chat.example"
CHAT = "/v1/chat/completions"


def ask_first(client: httpx.Client, origin: str, path: str = CHAT) -> httpx.Response:
    wanted = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type"}
    return client.request("OPTIONS", path, headers={"origin": origin} | wanted)


def test_p128_off_there_is_nothing_of_it(client: httpx.Client) -> None:
    refused = ask_first(client, PAGE)
    assert refused.status_code == 405
    answer = client.post(CHAT, json=chat(), headers={"origin": PAGE})
    for response in (refused, answer):
        assert not [name for name in response.headers if name.startswith("access-control") or name == "vary"]


def test_p128_a_page_that_is_allowed(
    start_engine: Callable[..., Engine], start_gateway: Callable[..., Gateway]
) -> None:
    gateway = start_gateway([start_engine().url], cors={"origins": [PAGE, "http://localhost:3000"]})
    gateway.wait_up()
    with httpx.Client(base_url=gateway.url) as browser:
        for path in (CHAT, "/v1/models", "/api/chat", "/v1/messages"):
            permission = ask_first(browser, PAGE, path)  # without a key
            assert permission.status_code == 200 and permission.content == b""
            assert permission.headers["access-control-allow-origin"] == PAGE
            assert permission.headers["access-control-allow-headers"] == "authorization,content-type"
            assert ("GET" if path == "/v1/models" else "POST") in permission.headers["access-control-allow-methods"]
            assert permission.headers["vary"] == "Origin"
        assert ask_first(browser, "https://evil.example").status_code == 405
        assert ask_first(browser, PAGE, "/nowhere").status_code == 404
    with gateway.client() as client:
        page = {"origin": PAGE}
        answers = [
            client.post(CHAT, json=chat(), headers=page),
            client.post(CHAT, json=chat(True), headers=page),
            client.post(CHAT, json=chat(n=0), headers=page),
            client.post(CHAT, json=chat(), headers=page | {"authorization": "Bearer no"}),
            client.get("/nowhere", headers=page),
            client.get(CHAT, headers=page),
            client.get("/health", headers=page),
        ]
        assert [answer.status_code for answer in answers] == [200, 200, 400, 401, 404, 405, 200]
        for answer in answers:
            assert answer.headers.get_list("access-control-allow-origin") == [PAGE]
            assert "x-request-id" in answer.headers["access-control-expose-headers"]
            assert answer.headers["vary"] == "Origin"
        other = client.post(CHAT, json=chat(), headers={"origin": "https://evil.example"})
        assert other.status_code == 200 and "access-control-allow-origin" not in other.headers
        assert other.headers["vary"] == "Origin"


def test_p128_any_page(start_engine: Callable[..., Engine], start_gateway: Callable[..., Gateway]) -> None:
    gateway = start_gateway([start_engine().url], cors={"origins": ["*"]})
    gateway.wait_up()
    with gateway.client() as client:
        assert ask_first(client, "null").headers["access-control-allow-origin"] == "*"
        answer = client.post(CHAT, json=chat(), headers={"origin": PAGE})
        assert answer.headers["access-control-allow-origin"] == "*" and "vary" not in answer.headers


@pytest.mark.parametrize(
    "origin", ["chat.example", "https://chat.example/", "https://Chat.example", "null", "", "https://"]
)
def test_p37_what_no_browser_sends_is_refused(origin: str) -> None:
    with pytest.raises(ValueError, match="is not an origin; write https://HOST"):
        Cors(origins=(origin,))


def test_p164_a_password_in_an_origin_is_not_repeated(tmp_path: Path) -> None:
    page = "https://user:SECRETPW@chat.example/x"
    config = write_config(tmp_path, ["http://127.0.0.1:9"], cors={"origins": [page]})
    result = run("gateway", "--config", str(config))
    assert result.returncode == 2 and "//...@chat.example" in result.stderr
    assert "SECRETPW" not in result.stderr and "user" not in result.stderr
