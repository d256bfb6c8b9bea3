"""Waiting for a token, against a small HTTP server in place of the gateway."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fullbatch.core.errors import EngineError
from fullbatch.lifecycle import readiness
from fullbatch.planning.plan import make
from fullbatch.planning.profile import load
from tests.fullbatch.checkout import REPOSITORY

PLAN = make("cpu-tiny", load(REPOSITORY, "cpu-tiny"))
GOOD = {"choices": [{"text": "x"}], "usage": {"completion_tokens": 1}}


class Gateway(ThreadingHTTPServer):
    """Answers 503 on /health `starting` times, then 200; completions as set."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.starting = 0
        self.completion: tuple[int, object] = (200, GOOD)
        self.keys: list[str | None] = []


class _Handler(BaseHTTPRequestHandler):
    server: Gateway

    def do_GET(self) -> None:
        self.server.starting -= 1
        self._answer(503 if self.server.starting >= 0 else 200, {})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.keys.append(self.headers["Authorization"])
        self._answer(*self.server.completion)

    def _answer(self, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass


class Deployment:
    """What is waited for; the test says what its engine does."""

    def __init__(self, url: str) -> None:
        self.gateway_url = url
        self.log: list[str] = []
        self.late: list[list[str]] = []
        self.dies_after: int | None = None
        self._asked = 0

    def api_key(self) -> str:
        return "fb-key"

    def log_tail(self, lines: int) -> list[str]:
        return self.log[-lines:]

    def unready(self) -> list[str]:
        return self.late.pop(0) if self.late else []

    def failure(self) -> str | None:
        self._asked += 1
        return "the engine process (7) has ended" if self.dies_after and self._asked > self.dies_after else None


class Clock:
    """A clock that goes on by `step` seconds each time it is read."""

    def __init__(self, step: float) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    monkeypatch.setattr(readiness, "POLL_SECONDS", 0.001)
    server = Gateway()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def running(gateway: Gateway) -> Deployment:
    return Deployment(f"http://127.0.0.1:{gateway.server_address[1]}")


def test_a_token_ends_the_wait(gateway: Gateway, running: Deployment) -> None:
    said: list[str] = []
    assert 0 <= readiness.until_token(running, PLAN, said.append, 60) < 60
    assert gateway.keys == ["Bearer fb-key"]


def test_it_says_what_it_waits_for_and_says_it_once(gateway: Gateway, running: Deployment) -> None:
    gateway.starting = 6
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        running.log = ["INFO Starting to load model tiny..."]

    readiness.until_token(running, PLAN, say, 60)
    assert said == ["starting vLLM", "loading weights"]


def test_a_long_stage_gives_signs_of_life(gateway: Gateway, running: Deployment) -> None:
    gateway.starting = 12
    said: list[str] = []
    readiness.until_token(running, PLAN, said.append, 10_000, clock=Clock(5))
    assert said[0] == "starting vLLM"
    assert said[1].startswith("still starting vLLM (")
    assert len(said) < 12


def test_a_dead_engine_ends_the_wait_with_the_tail_of_its_log(gateway: Gateway, running: Deployment) -> None:
    gateway.starting = 1000
    running.dies_after = 3
    running.log = [f"line {number}" for number in range(50)] + ["", "ValueError: no memory", " "]
    with pytest.raises(EngineError) as raised:
        readiness.until_token(running, PLAN, lambda _text: None, 60)
    lines = str(raised.value).splitlines()
    assert lines[0] == "the engine process (7) has ended"
    assert lines[1] == "the cause it names: ValueError: no memory"
    assert lines[2] == "the engine's log ends:"
    assert lines[-1] == "  ValueError: no memory"
    assert len(lines) == 3 + readiness.TAIL_LINES


def test_a_known_failure_is_told_with_its_fix(gateway: Gateway, running: Deployment) -> None:
    gateway.starting = 1000
    running.dies_after = 1
    running.log = [
        "(EngineCore pid=9) ERROR 11-23 15:12:23 [core.py:1510] ValueError: To serve at least one request with the "
        "model's max seq len (4096), (2.0 GiB KV cache is needed, which is larger than the available KV cache memory "
        "(1.5 GiB). Based on the available memory, the estimated maximum model length is 3072. Try increasing",
        "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}",
    ]
    with pytest.raises(EngineError) as raised:
        readiness.until_token(running, PLAN, lambda _text: None, 60)
    lines = str(raised.value).splitlines()
    assert lines[1].startswith("why: the KV cache (1.5 GiB) cannot hold one request of 4096 tokens (2.0 GiB)")
    assert lines[2] == "fix: in profiles/cpu-tiny.yaml write `context: 3072`, or take a smaller model"
    assert lines[3] == "the engine's log ends:"


def test_a_very_long_line_is_cut(gateway: Gateway, running: Deployment) -> None:
    gateway.starting = 1000
    running.dies_after = 1
    running.log = ["x" * 100_000]
    with pytest.raises(EngineError) as raised:
        readiness.until_token(running, PLAN, lambda _text: None, 60)
    assert max(len(line) for line in str(raised.value).splitlines()) < 400


def test_the_time_limit(gateway: Gateway, running: Deployment) -> None:
    gateway.starting = 1000
    running.log = ["INFO Starting to load model tiny..."]
    with pytest.raises(EngineError, match="no token within 20 s \\(last state: loading weights"):
        readiness.until_token(running, PLAN, lambda _text: None, 20, clock=Clock(1))


def test_of_several_engines_the_last_ends_the_wait(gateway: Gateway, running: Deployment) -> None:
    running.late = [["engine", "engine-2"], ["engine-2"], ["engine-2"]]
    two = dataclasses.replace(PLAN, engines=PLAN.engines * 2)
    said: list[str] = []
    readiness.until_token(running, two, said.append, 60)
    assert gateway.keys
    assert "waiting for engine-2" in said
    assert running.late == []


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_of_our_own_request_ends_the_wait(gateway: Gateway, running: Deployment, status: int) -> None:
    gateway.completion = (status, {"error": {"message": "no such key"}})
    with pytest.raises(EngineError, match=rf"refuses our own test request: {status} .*no such key"):
        readiness.until_token(running, PLAN, lambda _text: None, 60)


@pytest.mark.parametrize(
    "answer", [(500, {}), (200, {}), (200, []), (200, {"usage": None}), (200, {"usage": {"completion_tokens": 0}})]
)
def test_health_alone_is_not_enough(gateway: Gateway, running: Deployment, answer: tuple[int, object]) -> None:
    gateway.completion = answer
    with pytest.raises(EngineError, match="no token within 20 s"):
        readiness.until_token(running, PLAN, lambda _text: None, 20, clock=Clock(1))


def test_one_that_is_healthy_and_gives_garbage_is_not_waited_for(gateway: Gateway, running: Deployment) -> None:
    for garbage in ("no JSON of ours\x1b[31m", {"usage": "many"}, {"usage": {"completion_tokens": "7"}}):
        gateway.starting, gateway.completion = 2, (200, garbage)
        with pytest.raises(EngineError) as raised:
            readiness.until_token(running, PLAN, lambda _text: None, 1e6, clock=Clock(1), healthy_limit=20)
        told = str(raised.value).splitlines()[0]
        assert told.startswith("it says that it is healthy and gives no token: 200 ") and "\x1b" not in told
