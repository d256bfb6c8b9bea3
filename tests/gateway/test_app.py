"""Starting and stopping."""

from __future__ import annotations

import contextlib
import json
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import yaml

from tests.gateway.harness import (
    ROOT,
    Engine,
    Gateway,
    Raw,
    chat,
    chat_bytes,
    error_of,
    post_bytes,
    run,
    used,
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
        assert b"".join(pieces).endswith(b"data: [DONE]\n\n")
    assert gateway.exit_code() == 0
    assert "every answer was finished" in gateway.stderr()
    with pytest.raises(ConnectionRefusedError):
        Raw(gateway.port)


def test_p34_while_it_drains_it_says_so_and_takes_nothing(
    start_gateway: Callable[..., Gateway], engine: Engine
) -> None:
    gateway = start_gateway([engine.url])
    gateway.wait_up()
    engine.turn(itl_ms=40)
    with gateway.client() as client, client.stream("POST", URL, json=chat(True, max_tokens=60)) as response:
        pieces = response.iter_raw()
        next(pieces)
        gateway.terminate()
        wait_until(lambda: not gateway.is_up(), 2, "not ready any more")
        health = httpx.get(f"{gateway.url}/health")
        assert (health.status_code, health.json()["status"]) == (503, "draining")
        assert httpx.get(f"{gateway.url}/livez").status_code == 200
        assert "gateway_requests_in_flight 1.0" in gateway.metrics()
        with gateway.client() as another:
            refused = another.post(URL, json=chat())
        assert (refused.status_code, error_of(refused)["code"]) == (503, "gateway_stopping")
        assert refused.headers["retry-after"] == "5" and refused.headers["connection"] == "close"
        assert b"".join(pieces).endswith(b"data: [DONE]\n\n")
    assert gateway.exit_code() == 0


def test_p82_who_waits_in_the_queue_is_refused_at_once(start_gateway: Callable[..., Gateway], engine: Engine) -> None:
    gateway = start_gateway([engine.url])
    rewrite_places(gateway, 1)
    gateway.wait_up()
    engine.turn(ttft_ms=1500)
    body = chat_bytes()
    with Raw(gateway.port) as first, Raw(gateway.port) as second:
        first.send(post_bytes(body, f"Content-Length: {len(body)}"))
        wait_until(lambda: engine.running() == 1, 5, "one running")
        second.send(post_bytes(body, f"Content-Length: {len(body)}"))
        wait_until(lambda: "gateway_requests_in_flight 2.0" in gateway.metrics(), 5, "one waiting")
        gateway.terminate()
        refused = second.read_to_close()
        assert refused.startswith(b"HTTP/1.1 503 ") and b"retry-after: 5\r\n" in refused
        assert b'"code":"gateway_stopping"' in refused
        assert first.read_to_close().startswith(b"HTTP/1.1 200 ")
    assert gateway.exit_code() == 0
    assert [json.loads(line)["outcome"] for line in gateway.stdout().splitlines()] == ["stopping", "ok"]


def rewrite_places(gateway: Gateway, slots: int) -> None:
    """So many requests in the engine at once."""
    content = yaml.safe_load(gateway.config.read_text())
    content["engines"][0]["max_num_seqs"] = slots
    gateway.config.write_text(yaml.safe_dump(content))
    wait_until(lambda: f'gateway_engine_max_num_seqs{{engine_name="engine"}} {slots}.0' in gateway.metrics(), 5, "told")


def test_p82_streams_over_the_limit_are_told_in_an_event(start_gateway: Callable[..., Gateway], engine: Engine) -> None:
    gateway = start_gateway([engine.url], limits={"drain_timeout_s": 0.5})
    gateway.wait_up()
    engine.turn(itl_ms=100)
    body = chat_bytes(stream=True, max_tokens=1000)
    with Raw(gateway.port) as raw:
        raw.send(post_bytes(body, f"Content-Length: {len(body)}"))
        got = raw.read_until(b"data: ")
        gateway.terminate()
        got += raw.read_to_close()
    assert got.endswith(b"\r\n0\r\n\r\n")
    last = got.removesuffix(b"\n\n\r\n0\r\n\r\n").rpartition(b"data: ")[2]
    error = json.loads(last)["error"]
    assert (error["code"], error["message"]) == ("gateway_stopping", "gateway is stopping; try again in 5 s")
    assert gateway.exit_code() == 0
    assert "1 answers were cut short" in gateway.stderr()
    wait_until(lambda: engine.running() == 0, 1, "the engine rid of it")


def test_p82_answers_that_have_not_begun_are_503_in_the_end(
    start_gateway: Callable[..., Gateway], engine: Engine
) -> None:
    gateway = start_gateway([engine.url], limits={"drain_timeout_s": 0.5})
    gateway.wait_up()
    engine.turn(ttft_ms=60_000)
    body = chat_bytes()
    with Raw(gateway.port) as raw, Raw(gateway.port) as upload:
        upload.send(post_bytes(b"{", "Content-Length: 100"))
        raw.send(post_bytes(body, f"Content-Length: {len(body)}"))
        wait_until(lambda: engine.running() == 1, 5, "running")
        gateway.terminate()
        for late in (raw, upload):
            got = late.read_to_close()
            assert got.startswith(b"HTTP/1.1 503 ") and b'"code":"gateway_stopping"' in got
    assert gateway.exit_code() == 0
    wait_until(lambda: engine.running() == 0, 1, "the engine rid of it")


def test_p82_what_was_cut_is_on_record(start_gateway: Callable[..., Gateway], engine: Engine, tmp_path: Path) -> None:
    gateway = start_gateway([engine.url], limits={"drain_timeout_s": 0.5}, store=str(tmp_path / "store"))
    gateway.wait_up()
    engine.turn(itl_ms=50)
    body = chat_bytes(stream=True, max_tokens=1000)
    with Raw(gateway.port) as raw:
        raw.send(post_bytes(body, f"Content-Length: {len(body)}"))
        raw.read_until(b"data: ")
        gateway.terminate()
        raw.read_to_close()
    assert gateway.exit_code() == 0
    (line,) = used(tmp_path / "store")
    assert (line["requests"], line["estimated"]) == (1, 1)
    assert line["completion_tokens"] > 5


def test_p82_a_second_signal_ends_the_waiting(start_gateway: Callable[..., Gateway], engine: Engine) -> None:
    gateway = start_gateway([engine.url], limits={"drain_timeout_s": 60})
    gateway.wait_up()
    engine.turn(itl_ms=100)
    body = chat_bytes(stream=True, max_tokens=1000)
    with Raw(gateway.port) as raw:
        raw.send(post_bytes(body, f"Content-Length: {len(body)}"))
        raw.read_until(b"data: ")
        gateway.terminate()
        wait_until(lambda: "stopping: running answers" in gateway.stderr(), 5, "draining")
        gateway.terminate()
        assert b"gateway_stopping" in raw.read_to_close()
    assert gateway.exit_code(5) == 0


def test_p84_over_the_limit_connections_are_refused_and_health_is_not(
    start_gateway: Callable[..., Gateway], engine: Engine
) -> None:
    gateway = start_gateway([engine.url], limits={"max_connections": 5})
    gateway.wait_up()
    wait_until(lambda: 'gateway_connections{deployment="test"} 0.0' in gateway.metrics(), 5, "none left")
    held = [Raw(gateway.port) for _ in range(5)]
    for raw in held:
        raw.send(b"GET /livez HTTP/1.1\r\n")  # one that is idle would give way
    wait_until(lambda: 'gateway_connections{deployment="test"} 5.0' in gateway.metrics(), 5, "full")
    with gateway.client() as client:
        refused = client.post(URL, json=chat())
        assert (refused.status_code, error_of(refused)["code"]) == (503, "too_many_connections")
        assert refused.headers["retry-after"] == "1"
    assert httpx.get(f"{gateway.url}/livez").status_code == 200
    held += [Raw(gateway.port) for _ in range(16)]
    with Raw(gateway.port) as beyond:
        assert beyond.read_to_close().startswith(b"HTTP/1.1 503 ")
    for raw in held:
        raw.socket.close()
    with gateway.client() as client:
        wait_until(lambda: client.post(URL, json=chat()).status_code == 200, 5, "room again")


def test_p150_idle_connections_keep_nobody_out(start_gateway: Callable[..., Gateway], engine: Engine) -> None:
    gateway = start_gateway([engine.url], limits={"max_connections": 20})
    gateway.wait_up()
    with contextlib.ExitStack() as stack, gateway.client() as client:
        used = [stack.enter_context(Raw(gateway.port)) for _ in range(10)]
        for raw in used:  # kept after a request, as clients keep theirs
            raw.send(b"GET /livez HTTP/1.1\r\nHost: g\r\n\r\n")
            raw.read_until(b'{"status":"ok"}')
        silent = [stack.enter_context(Raw(gateway.port)) for _ in range(60)]
        time.sleep(1.2)
        for _ in range(3):
            assert httpx.get(f"{gateway.url}/health").status_code == 200
        assert client.post(URL, json=chat()).status_code == 200
        assert used[0].read_to_close() == b""  # the longest idle one has given way
        assert silent[-1].read_to_close().startswith(b"HTTP/1.1 503 ")  # all were new when it came


def test_p150_slow_heads_keep_health_checks_out_for_a_second(
    start_gateway: Callable[..., Gateway], engine: Engine
) -> None:
    slow_heads_end_s = 60  # so much later than a second that a busy machine cannot make one of the other
    gateway = start_gateway([engine.url], limits={"max_connections": 5, "header_timeout_s": slow_heads_end_s})
    gateway.wait_up()
    with contextlib.ExitStack() as stack:
        for _ in range(40):
            with contextlib.suppress(ConnectionError):
                stack.enter_context(Raw(gateway.port)).send(b"GET /livez HTTP/1.1\r\n")
        took = wait_until(lambda: httpx.get(f"{gateway.url}/livez").status_code == 200, 5, "room for a health check")
        assert took < slow_heads_end_s / 2


@pytest.mark.parametrize(
    ("files", "told"), [(256, "limits.max_in_flight is 88, limits.max_connections is 88"), (100, "")]
)
def test_p151_few_open_files_are_told_in_a_line(tmp_path: Path, engine: Engine, files: int, told: str) -> None:
    config = write_config(tmp_path, [engine.url])
    command = [sys.executable, "-m", "gateway", "--config", str(config)]

    def few_files() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))

    with (tmp_path / "err").open("wb") as err:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=err, preexec_fn=few_files)
    try:
        if not told:
            assert process.wait(20) == 2
        else:
            wait_until(lambda: "listening on" in (tmp_path / "err").read_text(), 20, "up")
        lines = [line for line in (tmp_path / "err").read_text().splitlines() if "open files" in line]
        assert len(lines) == 1 and f"this process may have {files}" in lines[0] and "ulimit" in lines[0]
        assert told in lines[0] and "Traceback" not in (tmp_path / "err").read_text()
    finally:
        process.kill()
        process.wait()


def test_p84_the_cap_fits_the_files_that_may_be_open(tmp_path: Path, engine: Engine) -> None:
    config = write_config(tmp_path, [engine.url], limits={"max_in_flight": 10})
    command = [sys.executable, "-m", "gateway", "--config", str(config)]

    def few_files() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (120, 120))

    with (tmp_path / "err").open("wb") as err:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=err, preexec_fn=few_files)
    try:
        wait_until(lambda: "listening on" in (tmp_path / "err").read_text(), 20, "up")
        port = int((tmp_path / "err").read_text().partition("listening on http://127.0.0.1:")[2].split(" ")[0])
        with contextlib.ExitStack() as stack:
            held = [stack.enter_context(Raw(port)) for _ in range(100)]
            assert [raw.read_to_close()[:12] for raw in held[50:]] == [b"HTTP/1.1 503"] * 50
            held[0].send(b"GET /livez HTTP/1.1\r\nHost: g\r\n\r\n")
            assert held[0].read_until(b"ok").startswith(b"HTTP/1.1 200 ")
        assert "Traceback" not in (tmp_path / "err").read_text()
    finally:
        process.kill()
        process.wait()


def test_p38_a_port_in_use_is_one_line_and_exit_4(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = write_config(tmp_path, ["http://127.0.0.1:1"], listen={"port": port})
        result = run("gateway", "--config", str(config))
    assert result.returncode == 4
    assert f"cannot listen on 127.0.0.1:{port}: another program does" in result.stderr
    assert result.stderr.count("\n") == 1
