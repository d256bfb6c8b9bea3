"""What the gateway tells of models that take turns, and what it is asked to do, against a server in its place."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from fullbatch.core.errors import HostError, StateError, UsageError
from fullbatch.lifecycle import models
from fullbatch.runtime import registry

TOLD: dict[str, Any] = {
    "version": 1,
    "cards": [
        {
            "card": "card0", "launcher": "ok", "resident": "qwen", "pinned": None, "phase": "loading", "to": "llama",
            "lost_s": 12.3, "lost_share_15m": 0.4,
            "models": [
                {
                    "name": "qwen", "models": ["Qwen/Qwen"], "state": "ready", "since": "2026-11-30T18:00:00Z",
                    "about_s": None, "wake_s": 1.7, "wake_learned": True, "cold_s": 52.0, "cold_learned": False,
                    "next_load": "wake", "running": 3, "waiting": 0, "loads": {"wake": 2, "cold": 1}, "failures": 0,
                    "why": "", "retry_at": None, "log": [],
                },
                {
                    "name": "llama", "models": ["meta/Llama"], "state": "failed", "since": "2026-11-30T18:00:00Z",
                    "about_s": 40.0, "wake_s": 2.0, "wake_learned": False, "cold_s": 50.0, "cold_learned": True,
                    "next_load": "cold", "running": 0, "waiting": 2, "loads": {"wake": 0, "cold": 1}, "failures": 1,
                    "why": "out of memory", "retry_at": "2026-11-30T18:01:00Z", "log": ["one", "two"],
                },
            ],
        }
    ],
}  # fmt: skip


class Gateway(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[tuple[str, Any, str | None]] = []
        self.status, self.turns = 200, True
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Gateway

    def do_GET(self) -> None:
        listed = {"data": [{"id": "Qwen/Qwen"}, {"id": "meta/Llama"}, {"id": "bge"}]}
        health = {"models": {"Qwen/Qwen": {"state": "ready"}} if self.server.turns else {}}
        self._answer({"/v1/models": listed, "/health": health}.get(self.path, TOLD))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, body, self.headers["Authorization"]))
        self._answer({"version": 1, "name": body["name"], "did": body["do"], "state": "loading"})

    def _answer(self, body: object) -> None:
        status = self.server.status if self.path.startswith("/ui/") else 200
        data = json.dumps(body if status == 200 else {"error": {"message": "key 'first' is no admin"}}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass


class Running:
    def __init__(self, url: str) -> None:
        self.profile, self.gateway_url = "two", url

    def api_key(self) -> str:
        return "k"


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    made = Gateway()
    monkeypatch.setattr(registry, "only", lambda *_: Running(made.url))
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


ROOT = Path("/nowhere")


@pytest.mark.usefixtures("gateway")
def test_models_with_and_without_turns() -> None:
    found = models.served(ROOT, None)
    assert [(one.name, one.state, one.card) for one in found.models] == [
        ("bge", "always", ""),
        ("qwen", "ready", "card0"),
        ("llama", "failed", "card0"),
    ]
    qwen, llama = found.models[1:]
    assert qwen.resident and not llama.resident
    assert (llama.why, llama.log, llama.retry_at) == ("out of memory", ("one", "two"), "2026-11-30T18:01:00Z")
    assert (found.cards[0].phase, found.cards[0].to, found.cards[0].trouble) == ("loading", "llama", "")
    assert found.cards[0].lost_share == 0.4


@pytest.mark.parametrize("name", ["llama", "meta/Llama"])
def test_a_model_is_named_as_clients_do_or_as_we_do(gateway: Gateway, name: str) -> None:
    assert models.change(ROOT, None, "load", name) == "loading"
    assert gateway.asked == [("/ui/v1/models/do", {"do": "load", "name": "llama"}, "Bearer k")]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("lama", "models load: no model 'lama' (did you mean llama?); there are: qwen, llama"),
        ("bge", "models load: 'bge' is always there and takes no turns (profile: when)"),
    ],
)
def test_what_takes_no_turns_is_refused_without_asking(gateway: Gateway, name: str, line: str) -> None:
    with pytest.raises(UsageError) as raised:
        models.change(ROOT, None, "load", name)
    assert str(raised.value) == line
    assert gateway.asked == []


def test_what_the_gateway_refuses_is_said_in_its_words(gateway: Gateway) -> None:
    gateway.status = 403
    with pytest.raises(StateError, match="models: key 'first' is no admin"):
        models.served(ROOT, None)
    gateway.status = 404
    with pytest.raises(StateError, match="the gateway of 'two' is older than this command; start it again"):
        models.served(ROOT, None)


def test_where_no_model_takes_turns_no_operator_is_needed(gateway: Gateway) -> None:
    gateway.status, gateway.turns = 403, False
    found = models.served(ROOT, None)
    assert [(one.name, one.state) for one in found.models] == [
        ("Qwen/Qwen", "always"), ("meta/Llama", "always"), ("bge", "always"),
    ]  # fmt: skip


def test_nothing_that_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "only", lambda *_: Running("http://127.0.0.1:9"))
    with pytest.raises(HostError, match="the gateway at http://127.0.0.1:9 does not answer"):
        models.served(ROOT, None)
    monkeypatch.setattr(registry, "only", lambda *_: None)
    with pytest.raises(StateError, match="nothing is running"):
        models.served(ROOT, None)
