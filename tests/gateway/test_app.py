"""Starting and stopping."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.gateway.harness import (
    Engine,
    Gateway,
    Raw,
    chat,
    chat_bytes,
    post_bytes,
    run,
    wait_until,
    write_config,
)

URL = "/v1/chat/completions"


def test_p34_sigterm_lets_streams_finish(start_gateway: Callable[..., Gateway], engine: Engine) -> None:
    gateway = start_gateway([engine.url])
    gateway.wait_up()
    engine.turn(itl_ms=40)
    with (
        Raw(gateway.port) as idle,
        gateway.client() as client,
        client.stream("POST", URL, json=chat(True, max_tokens=30)) as response,
    ):
        pieces = response.iter_raw()
        next(pieces)
        gateway.terminate()
        assert idle.read_to_close() == b""
        with pytest.raises(ConnectionRefusedError):
            Raw(gateway.port)
        assert b"".join(pieces).endswith(b"data: [DONE]\n\n")
    assert gateway.exit_code() == 0


def test_p34_what_outlasts_the_limit_is_cut(start_gateway: Callable[..., Gateway], engine: Engine) -> None:
    gateway = start_gateway([engine.url], limits={"drain_timeout_s": 0.5})
    gateway.wait_up()
    engine.turn(itl_ms=100)
    body = chat_bytes(stream=True, max_tokens=1000)
    with Raw(gateway.port) as raw:
        raw.send(post_bytes(body, f"Content-Length: {len(body)}"))
        raw.read_until(b"data: ")
        gateway.terminate()
        assert not raw.read_to_close().endswith(b"0\r\n\r\n")
    assert gateway.exit_code() == 0
    wait_until(lambda: engine.running() == 0, 1, "the engine rid of it")


def test_p38_a_port_in_use_is_one_line_and_exit_4(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = write_config(tmp_path, ["http://127.0.0.1:1"], listen={"port": port})
        result = run("gateway", "--config", str(config))
    assert result.returncode == 4
    assert f"cannot listen on 127.0.0.1:{port}: another program does" in result.stderr
    assert result.stderr.count("\n") == 1
