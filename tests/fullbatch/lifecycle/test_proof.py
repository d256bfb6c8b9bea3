"""Every model has to answer before a deployment is up: with a token, a vector or a score."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from fullbatch.core.errors import EngineError
from fullbatch.lifecycle.proof import Proof
from fullbatch.runtime.base import Awaited
from tests.fullbatch.several_profiles import BGE, CPU, QWEN_AWQ, SMOL, on_demand, planned

RERANKER = "BAAI/bge-reranker-v2-m3"


class Gateway(ThreadingHTTPServer):
    """`answers`: by path and model the status; what is not there is 400. `asked`: all of it, in order."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.healthy = True
        self.answers: dict[tuple[str, str], int] = {}
        self.asked: list[tuple[str, str]] = []


class _Handler(BaseHTTPRequestHandler):
    server: Gateway

    def do_GET(self) -> None:
        self._answer(200 if self.server.healthy else 503)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        asked = (self.path, body["model"])
        self.server.asked.append(asked)
        self._answer(self.server.answers.get(asked, 400))

    def _answer(self, status: int) -> None:
        data = json.dumps({"usage": {"completion_tokens": 1}}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass


class Running(Awaited):
    def __init__(self, url: str) -> None:
        self.gateway_url, self.key = url, "k"

    def api_key(self) -> str:
        return self.key

    def log_tail(self, lines: int) -> list[str]:  # noqa: ARG002
        return []

    def failure(self) -> str | None:
        return None


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    made = Gateway()
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


def _proof(gateway: Gateway, *models: dict[str, Any], **shared: Any) -> Proof:
    return Proof(Running(f"http://127.0.0.1:{gateway.server_port}"), planned(*models, **shared))


def test_each_kind_of_model_is_asked_for_what_it_makes(gateway: Gateway) -> None:
    proof = _proof(gateway, {"model": QWEN_AWQ}, {"model": BGE, "context": 512}, {"model": RERANKER, "context": 512})
    gateway.answers = {("/v1/completions", QWEN_AWQ): 200, ("/v1/embeddings", BGE): 200}
    assert proof.refusal() == '400 {"usage": {"completion_tokens": 1}} (of BAAI/bge-reranker-v2-m3)'
    gateway.answers[("/rerank", RERANKER)] = 200
    gateway.asked.clear()
    assert proof.refusal() == ""
    assert gateway.asked == [("/v1/embeddings", RERANKER), ("/rerank", RERANKER)], "who has answered is left in peace"


def test_of_those_that_take_turns_the_first_is_asked(gateway: Gateway) -> None:
    proof = _proof(gateway, on_demand("tiny"), on_demand(SMOL), hardware=CPU)
    gateway.answers = {("/v1/completions", "tiny"): 200}
    assert proof.refusal() == ""
    assert gateway.asked == [("/v1/completions", "tiny")]


def test_nobody_is_asked_while_the_gateway_says_that_it_is_not_ready(gateway: Gateway) -> None:
    gateway.healthy = False
    assert _proof(gateway, {"model": "tiny"}, {"model": SMOL}, hardware=CPU).refusal() is None
    assert gateway.asked == []


def test_a_refused_request_of_ours_ends_the_wait(gateway: Gateway) -> None:
    gateway.answers = {("/v1/completions", "tiny"): 403}
    with pytest.raises(EngineError, match="refuses our own test request: 403"):
        _proof(gateway, {"model": "tiny"}, {"model": SMOL}, hardware=CPU).refusal()


def test_a_key_that_cannot_be_read_now_is_waited_for(gateway: Gateway) -> None:
    """A Docker Engine with much to do answers nothing now and then: `up` went down again for it."""
    running = Running(f"http://127.0.0.1:{gateway.server_port}")
    running.key = ""
    gateway.answers = {("/v1/completions", "tiny"): 401}
    proof = Proof(running, planned(on_demand("tiny"), on_demand(SMOL), hardware=CPU))
    assert proof.refusal() == "its first key cannot be read yet (of tiny)"
    running.key, gateway.answers = "k", {("/v1/completions", "tiny"): 200}
    assert proof.refusal() == ""


def test_a_key_that_can_be_read_only_after_the_request_is_waited_for_too(gateway: Gateway) -> None:
    """What was refused had none."""

    class Late(Running):
        def api_key(self) -> str:
            found, self.key = self.key, "k"
            return found

    running = Late(f"http://127.0.0.1:{gateway.server_port}")
    running.key = ""
    gateway.answers = {("/v1/completions", "tiny"): 401}
    proof = Proof(running, planned(on_demand("tiny"), on_demand(SMOL), hardware=CPU))
    assert proof.refusal() == "its first key cannot be read yet (of tiny)"
    with pytest.raises(EngineError, match="refuses our own test request: 401"):
        proof.refusal()
