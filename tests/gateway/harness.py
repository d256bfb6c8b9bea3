"""Real gateway and engine processes, and a raw socket to them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
import yaml
from prometheus_client.parser import text_string_to_metric_families

from gateway.telemetry.metrics import TOKEN_KINDS
from tests import prefork
from tests.ports import free_port as free_port
from tests.waiting import wait_until as wait_until

ROOT = Path(__file__).parents[2]
KEY = "fb-tests-only-0123456789abcdef"
OTHER_KEY = "fb-tests-other-0123456789abcdef"
START_S = 20.0
# What the gateway asks of an engine by itself: how it is, and for one token.
POLLED = {"GET /health", "GET /v1/models", "GET /metrics", "POST /v1/completions"}


def compiled_modules() -> list[str]:
    """What scripts/compile-gateway compiles, as `proxy.relay`."""
    listed = subprocess.run(
        [ROOT / "scripts" / "compile-gateway", "--list"], check=True, capture_output=True, text=True
    )
    return [name.removeprefix("gateway/").removesuffix(".py").replace("/", ".") for name in listed.stdout.split()]


class Process:
    """A program of its own, ended by its id; its imports are shared (`tests.prefork`)."""

    def __init__(self, module: str, *args: str, log: Path) -> None:
        self._err = log
        self._out = log.with_suffix(".out")
        self._process = prefork.start(module, *args, out=self._out, err=self._err)

    @property
    def pid(self) -> int:
        return self._process.pid

    def stderr(self) -> str:
        return self._err.read_text()

    def stdout(self) -> str:
        return self._out.read_text()

    def terminate(self) -> None:
        self._process.send_signal(signal.SIGTERM)

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def exit_code(self, within_s: float = 10.0) -> int:
        return self._process.wait(within_s)

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


class Engine(Process):
    """A fake engine."""

    def __init__(self, folder: Path, port: int = 0, **knobs: Any) -> None:
        options = [f"--{name.replace('_', '-')}={value}" for name, value in knobs.items()]
        super().__init__("tests.fakes.engine", f"--port={port}", *options, log=folder / f"engine-{time.time_ns()}.log")
        wait_until(lambda: "\n" in self.stdout(), START_S, "the fake engine's address printed")
        self.url = self.stdout().partition("\n")[0].removeprefix("listening on ")

    def turn(self, **knobs: Any) -> None:
        httpx.post(f"{self.url}/fake/knobs", json=knobs).raise_for_status()

    def state(self) -> dict[str, int]:
        found: dict[str, int] = httpx.get(f"{self.url}/fake/state").json()
        return found

    def running(self) -> int:
        return self.state()["running"]

    def paths(self) -> dict[str, int]:
        """How often each method and path was asked for."""
        found: dict[str, int] = httpx.get(f"{self.url}/fake/seen").json()["paths"]
        return found

    def last_body(self) -> dict[str, Any]:
        """The JSON of the last POST that is a client's; the gateway asks for one token, and for a form, by itself."""
        bodies = [json.loads(body) for _, body in httpx.get(f"{self.url}/fake/seen").json()["bodies"]]
        asked: list[dict[str, Any]] = [
            body for body in bodies if [body.get("prompt"), body.get("max_tokens")] != ["1", 1]
        ]
        return asked[-1]


class Gateway(Process):
    """A gateway in front of some engines.

    ``settings`` are merged into gateway.yaml section by section, ``engine_numbers`` into every engine of it.
    """

    def __init__(self, folder: Path, engine_urls: list[str], **settings: Any) -> None:
        stamp = time.time_ns()
        self.config = write_config(folder, engine_urls, f"gateway-{stamp}.yaml", **settings)
        super().__init__("gateway", "--config", str(self.config), log=folder / f"gateway-{stamp}.log")
        told = "metrics with keys on"  # the last thing that it says of its start
        wait_until(lambda: told in self.stderr() or self._process.poll() is not None, START_S, "gateway up")
        self.url = self.stderr().partition("listening on ")[2].split(" ")[0]
        assert self.url, self.stderr()
        self.port = int(self.url.rpartition(":")[2])

    def client(self, timeout_s: float = 10.0) -> httpx.Client:
        headers = {"authorization": f"Bearer {KEY}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=timeout_s)

    @property
    def watched(self) -> str:
        """The URL that tells everything and asks for no key."""
        return self.stderr().partition("metrics with keys on ")[2].partition("/metrics")[0]

    def metrics(self) -> str:
        return httpx.get(f"{self.watched}/metrics").text

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the series with these labels."""
        found = 0.0
        for family in text_string_to_metric_families(self.metrics()):
            for sample in family.samples:
                if sample.name == name and labels.items() <= sample.labels.items():
                    found += sample.value
        return found

    def tokens(self) -> dict[str, float]:
        """What has been counted so far, by kind."""
        return {kind: self.metric("gateway_tokens_total", kind=kind) for kind in TOKEN_KINDS}

    def is_up(self) -> bool:
        return httpx.get(f"{self.url}/health").status_code == 200

    def wait_up(self) -> None:
        wait_until(self.is_up, START_S, "an engine up at the gateway")

    def rss_mib(self) -> float:
        endpoints = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return endpoints * os.sysconf("SC_PAGE_SIZE") / 2**20


def write_config(folder: Path, engine_urls: list[str], name: str = "gateway.yaml", /, **settings: Any) -> Path:
    keys = folder / "api_keys"
    keys.write_text(f"# for tests\n{KEY}\n{OTHER_KEY}\n")
    numbers = {"max_num_seqs": 64, "max_num_batched_tokens": 2048, "max_model_len": 4096, "kv_cache_tokens": 1048576}
    numbers |= settings.pop("engine_numbers", {}) | settings.pop("engine", {})
    config: dict[str, Any] = {
        "listen": {"host": "127.0.0.1", "port": 0},
        "api_keys_file": str(keys),
        "deployment": "test",
        "engines": [
            {"name": f"engine{index or ''}", "url": url, "models": ["tiny"], **numbers}
            for index, url in enumerate(engine_urls)
        ],
        "limits": {},
        "polling": {"health_interval_s": 0.2, "resolve_interval_s": 0.5},
    }
    for section, values in settings.items():
        config[section] = config.get(section, {}) | values if isinstance(values, dict) else values
    config.setdefault("metrics_listen", {"port": 0})
    path = folder / name
    path.write_text(yaml.safe_dump(config))
    return path


class Raw:
    """A socket that says exactly what it is told."""

    def __init__(self, port: int, timeout_s: float = 10.0) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout_s)

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def read_to_close(self) -> bytes:
        """All that comes until the other side closes; a reset counts as a close."""
        found = b""
        try:
            while data := self.socket.recv(65536):
                found += data
        except ConnectionError:
            pass
        return found

    def read_until(self, end: bytes) -> bytes:
        found = b""
        while end not in found:
            data = self.socket.recv(65536)
            assert data, f"closed before {end!r}; got {found!r}"
            found += data
        return found

    def count_until(self, end: bytes) -> int:
        """As `read_until` for what is too long to keep: the number of bytes."""
        total, tail = 0, b""
        while end not in tail:
            data = self.socket.recv(1 << 20)
            assert data, f"closed before {end!r} after {total} bytes"
            total += len(data)
            tail = (tail + data)[-2 * len(end) - 64 :]
        return total


def post_bytes(body: bytes, *headers: str, path: str = "/v1/chat/completions", key: str = KEY) -> bytes:
    """A whole POST as bytes; the usual headers and those given."""
    lines = [f"POST {path} HTTP/1.1", "Host: gateway", f"Authorization: Bearer {key}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def chat(stream: bool = False, **more: Any) -> dict[str, Any]:
    """A chat request's body."""
    return {"model": "tiny", "stream": stream, "messages": [{"role": "user", "content": "hello"}]} | more


def chat_bytes(stream: bool = False, **more: Any) -> bytes:
    return json.dumps(chat(stream, **more)).encode()


def error_of(response: httpx.Response) -> dict[str, Any]:
    """The error object, checked for OpenAI's shape."""
    error: dict[str, Any] = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert response.headers["x-request-id"]
    return error


def run(module: str, *args: str) -> subprocess.CompletedProcess[str]:
    """A program that ends by itself."""
    command = [sys.executable, "-m", module, *args]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def keys(store: Path, *words: str) -> Any:
    """What `python -m gateway.keys` answers, as an object; fails with its message."""
    result = run("gateway.keys", "--store", str(store), *words, "--json")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def used(store: Path, *words: str) -> list[dict[str, Any]]:
    """What `python -m gateway.usage` answers."""
    result = run("gateway.usage", "--store", str(store), *words, "--json")
    assert result.returncode == 0, result.stderr
    found: list[dict[str, Any]] = json.loads(result.stdout)
    return found


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}
