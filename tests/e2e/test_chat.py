"""Open WebUI before the gateway, in Chromium, as `docker compose --profile chat` and `scripts/open-webui` set it up.

Too large for the suite (2.4 GB): the tests are there where `scripts/test-clients chat` has put it.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.keys.users import name_of
from scripts.chat.cli import PROGRAM, environment
from tests.browser import Page, chromium
from tests.gateway.harness import ROOT, Engine, Gateway, bearer, keys, used
from tests.ports import free_port
from tests.waiting import wait_for

pytestmark = pytest.mark.timeout(600)

STARTS_S = 240  # importing it takes most of a minute of a free core
VERSION = "0.12.4"  # whoever has seen its news is not shown them
SHOWN = "document.body.innerText"
WORDS = f"({SHOWN}.match(/x{{4}}/g) || []).length"


@dataclass(frozen=True)
class Chat:
    """A running Open WebUI, with two people who have accounts; each of them an id and a session."""

    url: str
    engine: Engine
    gateway: Gateway
    store: Path
    alice: dict[str, str]
    bob: dict[str, str]

    def ask(self, who: dict[str, str], path: str, **body: Any) -> httpx.Response:
        return httpx.post(f"{self.url}{path}", json=body, headers=bearer(who["token"]), timeout=120)

    def asked(self) -> list[dict[str, Any]]:
        """What came to the engine, without the gateway's own."""
        bodies = [json.loads(body) for _, body in httpx.get(f"{self.engine.url}/fake/seen").json()["bodies"]]
        return [body for body in bodies if "messages" in body]


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chat]:
    folder = tmp_path_factory.mktemp("chat")
    engine = Engine(folder, tokens=60, itl_ms=20)
    store = folder / "store"
    key = keys(store, "create", "open-webui", "--trusted", "yes")["key"]
    gateway = Gateway(folder, [engine.url], store=str(store), engine_numbers={"max_num_seqs": 2})
    gateway.wait_up()
    port = free_port()
    settings = environment(ROOT, f"{gateway.url}/v1", key, "session-secret-of-this-test", folder / "home", port)
    with (folder / "open-webui.log").open("w") as log:
        words = [str(ROOT / PROGRAM), "serve", "--host", "127.0.0.1", "--port", str(port)]
        process = subprocess.Popen(words, env={**os.environ, **settings}, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: _answers(f"{url}/health"), STARTS_S, "Open WebUI answers")
        alice = httpx.post(f"{url}/api/v1/auths/signup", json=_person("alice"), timeout=60).json()
        more = _person("bob") | {"role": "user"}
        added = httpx.post(f"{url}/api/v1/auths/add", json=more, headers=bearer(alice["token"]), timeout=60)
        assert added.status_code == 200, added.text
        bob = httpx.post(f"{url}/api/v1/auths/signin", json=_person("bob"), timeout=60).json()
        yield Chat(url, engine, gateway, store, alice, bob)
    finally:
        process.terminate()
        process.wait(30)
        gateway.stop()
        engine.stop()


def _person(name: str) -> dict[str, str]:
    return {"name": name.title(), "email": f"{name}@example.org", "password": f"{name}, correct horse"}


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def enter(page: Page, chat: Chat) -> None:
    """As Alice, at a new chat."""
    page.open(f"{chat.url}/auth")
    page.ask(f"localStorage.version = {json.dumps(VERSION)}; 1")
    page.ask(f"localStorage.token = {json.dumps(chat.alice['token'])}; 1")
    page.open(f"{chat.url}/")
    page.until("!!document.querySelector('#chat-input')", 90)
    page.until(f"{SHOWN}.includes('tiny')", 60)
    time.sleep(2)  # what else it opens by itself
    page.ask("document.querySelector('button[aria-label=Close]')?.click(); 1")


def say(page: Page, text: str) -> None:
    page.ask("document.querySelector('#chat-input').focus(); 1")
    page.write(text)
    page.until(f"document.querySelector('#chat-input').innerText.includes({json.dumps(text)})", 10)
    page.until("!!document.querySelector('#send-message-button:not([disabled])')", 10)
    page.ask("document.querySelector('#send-message-button').click(); 1")
    page.until("document.querySelector('#chat-input').innerText.trim() === ''", 10)


if (ROOT / PROGRAM).exists():

    def test_a_person_chats_in_the_browser(chat: Chat, tmp_path: Path) -> None:
        """The model is listed, the answer streams, it ends, and a title is asked for; no red box, no tools."""
        with chromium() as page:
            page.shape(1200, 760)
            enter(page, chat)
            say(page, "Tell me something about the sea.")
            early = page.until(WORDS, 20)
            assert early < 60, "the answer came in one piece"
            page.until(f"{WORDS} === 60", 60)
            wait_for(lambda: len(chat.asked()) >= 2, 60, "a title asked for")
            page.picture(Path(os.environ.get("CHAT_PICTURE", tmp_path / "chat.png")))
            shown = page.ask("document.body.innerText")
            # Whoever comes back finds it.
            page.open(f"{chat.url}/")
            page.until("document.body.innerText.includes('Tell me something')", 60)
        first, title = sorted(chat.asked()[:2], key=lambda body: not body["stream"])
        assert first["stream"] is True and "tools" not in first
        assert "title" in title["messages"][0]["content"] and title["stream"] is False
        assert "error" not in shown.lower() and "not support" not in shown
        assert chat.gateway.metric("gateway_requests_total", outcome="refused") == 0

    def test_stop_frees_the_engine(chat: Chat) -> None:
        chat.engine.turn(tokens=3000)
        try:
            with chromium() as page:
                page.shape(1200, 760)
                enter(page, chat)
                say(page, "Tell me everything.")
                page.until(WORDS, 20)
                assert chat.engine.running() >= 1
                page.until("!!document.querySelector('button[aria-label*=Stop i]')", 30)
                page.ask("document.querySelector('button[aria-label*=Stop i]').click(); 1")
                wait_for(lambda: chat.engine.running() == 0, 20, "the engine is free")
            assert chat.gateway.metric("gateway_client_disconnects_total") >= 1
        finally:
            chat.engine.turn(tokens=60)

    def test_two_people_share_fairly(chat: Chat) -> None:
        """Alice has eight questions in the queue; Bob comes after them and is not the last."""
        chat.engine.turn(tokens=100, itl_ms=10)
        served: list[str] = []
        lock = threading.Lock()

        def ask(name: str, who: dict[str, str]) -> None:
            messages = [{"role": "user", "content": f"Hello from {name}"}]
            said = chat.ask(who, "/api/chat/completions", model="tiny", stream=False, max_tokens=100, messages=messages)
            assert said.status_code == 200, said.text
            with lock:
                served.append(name)

        with ThreadPoolExecutor(10) as pool:
            many = [pool.submit(ask, "alice", chat.alice) for _ in range(10)]
            wait_for(lambda: chat.gateway.metric("gateway_key_waiting", key="open-webui") >= 6, 30, "a queue")
            time.sleep(0.2)
            pool.submit(ask, "bob", chat.bob).result()
            for one in many:
                one.result()
        assert served.index("bob") <= 6, served

    def test_usage_is_each_persons_own(chat: Chat) -> None:
        names = {name_of("open-webui", chat.alice["id"].encode()), name_of("open-webui", chat.bob["id"].encode())}
        wait_for(lambda: names <= {line["key"] for line in used(chat.store, "--by", "key")}, 20, "both in the store")
        lines = {line["key"]: line["requests"] for line in used(chat.store, "--by", "key")}
        assert lines[name_of("open-webui", chat.bob["id"].encode())] == 1
        assert chat.gateway.metric("gateway_key_requests_total", key="open-webui", outcome="ok") >= 10
