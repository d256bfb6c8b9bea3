"""Sides of a cell that run. llama.cpp's is a small program here; vLLM's needs a card or an engine (tests/e2e)."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fullbatch.core.errors import EngineError, HostError
from scripts.gpubench.matrix import Side
from scripts.gpubench.sides import Llama, LlamaProgram, card_gib, refuse_taken
from tests.ports import free_port

SERVES = """
import http.server, sys
print("build: 8123 (abcdef)\\nflash_attn = enabled", flush=True)
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("content-length", "0"); self.end_headers()
    def log_message(self, *_): pass
port = int(sys.argv[sys.argv.index("--port") + 1])
http.server.HTTPServer(("127.0.0.1", port), Health).serve_forever()
"""
TWO_SLOTS = Side(about="", slots=2, slot_context=1024)


@contextmanager
def llama(folder: Path, program: str) -> Iterator[Llama]:
    started = LlamaProgram((sys.executable, "-u", "-c", program), dict(os.environ), free_port())
    side = Llama(started, "other", ("small", folder / "small.gguf"), TWO_SLOTS, folder / "other.log")
    try:
        yield side
    finally:
        side.stop()


def test_it_is_up_when_it_answers_and_says_what_it_is(tmp_path: Path) -> None:
    with llama(tmp_path, SERVES) as side:
        took = side.wait()
        assert took > 0 and side.wait() == took and side.sized()
        facts = side.facts()
        assert (facts["engine"], facts["flash_attention"]) == ("llama.cpp 8123 (abcdef", "enabled")
        assert "--parallel 2 --ctx-size 2048 --n-gpu-layers 999" in facts["command"]
        words = side.words(tmp_path)
        assert words.startswith(f"other=http://127.0.0.1:{side.port},model=small,meta={tmp_path}/meta-other.json,pid=")
        assert json.loads((tmp_path / "meta-other.json").read_text())["engine"] == facts["engine"]
        pid = int(words.rpartition("=")[2])
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_one_that_ends_while_it_loads_is_told_with_its_last_words(tmp_path: Path) -> None:
    with llama(tmp_path, "import sys; print('no such model'); sys.exit(1)") as side:
        with pytest.raises(EngineError) as raised:
            side.wait()
        assert side.sized()
    assert str(raised.value).splitlines() == ["llama-server 'other' does not answer", "no such model"]


def test_one_that_hears_no_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf'); time.sleep(600)"
    with llama(tmp_path, deaf) as side:
        while "deaf" not in side.log():
            time.sleep(0.05)
        process = side._process
        monkeypatch.setattr(process, "wait", lambda seconds=None, wait=process.wait: wait(seconds and 0.3))
    assert process.returncode == -9


def test_a_port_that_is_taken_is_refused_before_anything_starts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(HostError, match=f"port {port} on 127.0.0.1 is taken by .*choose others"):
            refuse_taken(free_port(), port)


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path / "nvidia-smi"


def test_memory_is_that_of_the_processes_that_are_asked_for(nvidia_smi: Path) -> None:
    nvidia_smi.write_text(f"#!/bin/sh\necho '{os.getpid()}, 2048'\necho '1, 4096'\necho 'no, number'\n")
    nvidia_smi.chmod(0o755)
    assert card_gib([os.getsid(0)]) == 2.0
    assert card_gib([]) is None


@pytest.mark.usefixtures("nvidia_smi")
def test_without_a_driver_nothing_is_known() -> None:
    assert card_gib([os.getsid(0)]) is None
