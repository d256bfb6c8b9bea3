"""The shipped configurations of HAProxy, nginx and Caddy in front of two real gateways."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.gateway.harness import KEY, ROOT, Engine, Gateway, bearer, chat, free_port, wait_until

EXAMPLES = ROOT / "examples/several-gateways"
URL = "/v1/chat/completions"
# File, and the words that start the program with it in a folder.
BALANCERS: dict[str, Callable[[Path, Path], list[str]]] = {
    "haproxy.cfg": lambda config, _: [program("haproxy"), "-db", "-f", str(config)],
    "nginx.conf": lambda config, folder: [program("nginx"), "-p", str(folder), "-c", str(config), "-g", NGINX],
    "Caddyfile": lambda config, _: [
        str(Path(sys.executable).with_name("caddy")),
        "run",
        "--adapter",
        "caddyfile",
        "--config",
        str(config),
    ],
}
NGINX = "daemon off; pid nginx.pid; error_log nginx.log;"


def program(name: str) -> str:
    found = shutil.which(name, path="/usr/sbin:/usr/bin:/usr/local/bin")
    if found is None:
        pytest.skip(f"no {name} (Debian: apt-get install {name})")
    return found


@contextmanager
def balanced(folder: Path, file: str, gateways: list[Gateway]) -> Iterator[str]:
    """The program with the shipped file, whose addresses alone are ours; its URL."""
    port, text = free_port(), (EXAMPLES / file).read_text()
    for number, gateway in enumerate(gateways, 1):
        text = text.replace(f"gateway-{number}:8080", f"127.0.0.1:{gateway.port}")
    assert "gateway-1:" not in text
    text = text.replace("127.0.0.1:8088", f"127.0.0.1:{port}")
    config = folder / file
    config.write_text(text)
    folder.chmod(0o755)  # nginx's worker is another user
    with (folder / "balancer.log").open("wb") as log:
        process = subprocess.Popen(BALANCERS[file](config, folder), stdout=log, stderr=log, cwd=folder)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: answers(url), 20, f"{file} up")
        yield url
    finally:
        process.terminate()
        process.wait()


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health").status_code == 200
    except httpx.TransportError:
        return False


class Users:
    """Eight that ask one thing after the other, every second one as a stream; what they got in words."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._ended = threading.Event()
        self.whole, self.stopping, self.lost = 0, 0, list[str]()
        self._lock = threading.Lock()

    @contextmanager
    def asking(self) -> Iterator[None]:
        with ThreadPoolExecutor(8) as pool:
            futures = [pool.submit(self._one, number % 2 == 0) for number in range(8)]
            try:
                yield
            finally:
                self._ended.set()
        for future in futures:
            future.result()

    def _one(self, stream: bool) -> None:
        with httpx.Client(base_url=self._url, headers=bearer(KEY), timeout=30) as client:
            while not self._ended.is_set():
                try:
                    said = client.post(URL, json=chat(stream=stream))
                except httpx.TransportError as error:
                    self._note(f"{type(error).__name__}: {error}")
                    continue
                good = said.status_code == 200 and ("[DONE]" in said.text or not stream) and "error" not in said.text
                self._note("" if good else f"{said.status_code} {said.text[-200:]}")

    def _note(self, lost: str) -> None:
        with self._lock:
            if not lost:
                self.whole += 1
            elif "503" in lost and "gateway_stopping" in lost:
                self.stopping += 1
            else:
                self.lost.append(lost)


@pytest.mark.parametrize("file", BALANCERS)
def test_p245_a_gateway_that_ends_loses_no_request_behind_the_shipped_configuration(
    tmp_path: Path, start_gateway: Callable[..., Gateway], start_engine: Callable[..., Engine], file: str
) -> None:
    """Both are used, tokens come as they are made, and one may end, be gone, and be back under load."""
    engine = start_engine(ttft_ms=20, itl_ms=20, tokens=10)
    gateways = [start_gateway([engine.url]) for _ in range(2)]
    for gateway in gateways:
        gateway.wait_up()
    with balanced(tmp_path, file, gateways) as url:
        users = Users(url)
        with users.asking():
            wait_until(lambda: all(gateway.metric("gateway_requests_total") > 8 for gateway in gateways), 20, "both")
            gateways[0].terminate()
            assert gateways[0].exit_code(30) == 0
            whole = users.whole
            wait_until(lambda: users.whole > whole + 30, 20, "the other answers")
        assert users.lost == []
        assert users.whole > 40
        if file != "Caddyfile":  # which asks no second one after a 503
            assert users.stopping == 0
        streamed(url)


def streamed(url: str) -> None:
    """Events arrive one by one: the first well before the last."""
    with httpx.Client(base_url=url, headers=bearer(KEY), timeout=30) as client:
        with client.stream("POST", URL, json=chat(stream=True, max_tokens=10)) as answer:
            at = [time.monotonic() for line in answer.iter_lines() if line.startswith("data: {")]
    assert at[-1] - at[0] > 0.1, "buffered"
