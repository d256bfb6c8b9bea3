from __future__ import annotations

import dataclasses
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fullbatch.planning.plan import make
from fullbatch.planning.profile import parse
from fullbatch.runtime.process import engine_process
from fullbatch.runtime.process.engine_process import until_it_answers, variables
from tests.waiting import wait_for

ENGINE = make("x", parse({"description": "d", "model": "tiny", "hardware": {"cpu": {"kv_cache_gib": 1}}}, "x")).engines[
    0
]


class _Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_an_engine_gets_its_cards_and_no_network_where_its_weights_are_here() -> None:
    found = variables(Path("/r"), dataclasses.replace(ENGINE, card_ids=(1, 3)), "/s", offline=True)
    assert (found["CUDA_VISIBLE_DEVICES"], found["CUDA_DEVICE_ORDER"]) == ("1,3", "PCI_BUS_ID")
    assert found["VLLM_RPC_BASE_PATH"] == "/s"
    real = dataclasses.replace(ENGINE, model="Qwen/Qwen2.5-0.5B-Instruct")
    assert "HF_HUB_OFFLINE" not in variables(Path("/r"), real, "/s", offline=False)
    assert "CUDA_VISIBLE_DEVICES" not in variables(Path("/r"), real, "/s", offline=True)


def test_our_own_variables_but_for_one_that_makes_starts_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("MINE", "2")
    assert engine_process.ours()["MINE"] == "2"
    assert "PYTHONDONTWRITEBYTECODE" not in engine_process.ours()


def test_who_shares_a_card_waits_until_the_other_answers() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Healthy, bind_and_activate=False)
    server.server_bind()
    url = f"http://127.0.0.1:{server.server_port}"
    waiting = threading.Thread(target=until_it_answers, args=(url, lambda: True))
    waiting.start()
    time.sleep(0.3)
    assert waiting.is_alive(), "nobody answers yet"
    server.server_activate()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    wait_for(lambda: not waiting.is_alive(), 5, "the wait over")
    server.shutdown()
    server.server_close()


def test_it_does_not_wait_for_one_that_has_ended_or_for_ever() -> None:
    began = time.monotonic()
    until_it_answers("http://127.0.0.1:9", lambda: None)
    until_it_answers("http://127.0.0.1:9", lambda: True, within=0.1)
    assert time.monotonic() - began < 3
