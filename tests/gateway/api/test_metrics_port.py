"""The second listener: everything, for those who can reach it, and nothing else."""

from __future__ import annotations

import socket
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.keys.store import KeyStore
from gateway.keys.stored import Terms
from tests.gateway.harness import (
    KEY,
    Engine,
    Gateway,
    Raw,
    bearer,
    chat,
    error_of,
    free_port,
    run,
    wait_until,
    write_config,
)

URL = "/v1/chat/completions"


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def watched(start_gateway: Callable[..., Gateway], engine: Engine, tmp_path: Path, port: int) -> Gateway:
    KeyStore(tmp_path / "store").close()
    more: dict[str, Any] = {"store": str(tmp_path / "store"), "listen": {"host": "0.0.0.0", "plain_http": True}}
    gateway = start_gateway([engine.url], metrics_listen={"host": "127.0.0.1", "port": port}, **more)
    gateway.wait_up()
    return gateway


def test_p165_the_other_port_tells_everything_without_a_key(watched: Gateway, port: int, tmp_path: Path) -> None:
    alice = KeyStore(tmp_path / "store").create("alice", Terms(expires=time.time() + 3600))
    url = f"http://127.0.0.1:{port}"
    wait_until(lambda: 'key="alice"' in httpx.get(f"{url}/metrics").text, 5, "the key's end told")
    assert httpx.post(f"{watched.url}{URL}", json=chat(), headers=bearer(alice)).status_code == 200
    text = httpx.get(f"{url}/metrics").text
    assert 'gateway_key_requests_total{deployment="test",key="alice",outcome="ok"} 1.0' in text
    assert "gateway_engine_up{address=" in text
    assert httpx.get(f"{url}/health").json()["status"] == "ok"
    assert httpx.get(f"{url}/livez").status_code == 200
    assert "alice" not in httpx.get(f"{watched.url}/metrics").text
    assert f"metrics with keys on http://127.0.0.1:{port}/metrics" in watched.stderr()


def test_p165_nothing_else_is_served_there(watched: Gateway, port: int, tmp_path: Path) -> None:
    alice = KeyStore(tmp_path / "store").create("alice", Terms())
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=bearer(alice)) as client:
        wait_until(lambda: httpx.get(f"{watched.url}/v1/models", headers=bearer(alice)).status_code == 200, 5, "known")
        for path in ("/v1/models", "/v1/models/tiny", "/", "/openapi.json", "/metrics/", "/api/tags"):
            assert client.get(path).status_code == 404
        assert error_of(client.get("/v1/models"))["code"] == "not_found"
        assert client.post(URL, json=chat()).status_code == 404
        assert client.post("/metrics").status_code == 405


def test_p165_it_answers_while_the_gateway_drains(
    start_engine: Callable[..., Engine], start_gateway: Callable[..., Gateway], port: int
) -> None:
    engine = start_engine(tokens=400, itl_ms=20)
    gateway = start_gateway([engine.url], metrics_listen={"port": port}, limits={"drain_timeout_s": 2})
    gateway.wait_up()
    with gateway.client() as client, client.stream("POST", URL, json=chat(True, max_tokens=400)) as answer:
        next(pieces := answer.iter_bytes())
        gateway.terminate()
        wait_until(
            lambda: httpx.get(f"http://127.0.0.1:{port}/health").json()["status"] == "draining", 2, "draining told"
        )
        assert "gateway_requests_in_flight 1.0" in httpx.get(f"http://127.0.0.1:{port}/metrics").text
        assert b"gateway is stopping" in b"".join(pieces)
    assert gateway.exit_code() == 0


def test_p38_its_address_that_is_taken_is_one_line(tmp_path: Path, engine: Engine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        config = write_config(tmp_path, [engine.url], metrics_listen={"port": taken})
        result = run("gateway", "--config", str(config))
    assert result.returncode == 4
    what = f"metrics_listen: cannot listen on 127.0.0.1:{taken}: another program does; stop it or set another"
    assert result.stderr == f"{config}: {what} metrics_listen.port\n"


def test_p165_a_socket_of_this_machine_instead(
    start_gateway: Callable[..., Gateway], engine: Engine, tmp_path: Path
) -> None:
    path = tmp_path / "metrics.sock"
    with socket.socket(socket.AF_UNIX) as before:
        before.bind(str(path))  # of a run that was killed
    gateway = start_gateway([engine.url], metrics_listen={"socket": str(path)})
    gateway.wait_up()
    assert f"metrics with keys on unix:{path}/metrics" in gateway.stderr()
    assert not stat.S_IMODE(path.stat().st_mode) & 0o022, "only its owner can connect"
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(path))) as client:
        assert "gateway_engine_up{address=" in client.get("http://gateway/metrics").text
        assert client.get("http://gateway/v1/models").status_code == 404


def test_p176_an_engines_metrics_are_handed_on_and_nothing_else_of_it(
    start_engine: Callable[..., Engine], start_gateway: Callable[..., Gateway], tmp_path: Path
) -> None:
    path = tmp_path / "e.sock"
    engine = start_engine(uds=path)
    gateway = start_gateway([f"unix:{path}"])
    gateway.wait_up()
    with httpx.Client(base_url=gateway.watched, timeout=15) as client:
        page = client.get("/engines/engine/metrics?x=1")
        assert page.status_code == 200 and page.headers["content-type"].startswith("text/plain")
        assert {"vllm:num_requests_running"} <= {f.name for f in text_string_to_metric_families(page.text)}
        assert client.head("/engines/engine/metrics").status_code == 200
        assert client.post("/engines/engine/metrics").status_code == 405
        for other in (
            "/engines/engine/health", "/engines/engine/v1/models", "/engines/engine/metrics/", "/engines/engine",
            "/engines/metrics", "/engines/../metrics", "/engines/engine/../engine/metrics", "/engines/nobody/metrics",
        ):  # fmt: skip
            with Raw(int(gateway.watched.rpartition(":")[2])) as raw:
                raw.send(f"GET {other} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
                assert raw.read_to_close().startswith(b"HTTP/1.1 404 "), other
        assert "there are 'engine'" in client.get("/engines/nobody/metrics").text
        # Only there: at the gateway's own port it is no path, whatever the key.
        assert httpx.get(f"{gateway.url}/engines/engine/metrics", headers=bearer(KEY)).status_code == 404
        engine.stop()
        gone = client.get("/engines/engine/metrics")
        assert gone.status_code == 502 and str(tmp_path) not in gone.text
