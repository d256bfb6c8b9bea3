"""`python -m loadtest.engines.sampler`, and what it reads of one engine and one process tree."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

import psutil
import pytest

from loadtest.engines.sampler import scrape, tree_rss
from tests.loadtest.programs import ROOT
from tests.loadtest.scripted import json_answer, scripted

MIB = 2**20
SOON_S = 10.0
METRICS = b'vllm:num_requests_waiting{engine="0"} 2.0\nvllm:kv_cache_usage_perc{engine="0"} 0.5\n'
REFUSED = "http://127.0.0.1:9/metrics"


@contextmanager
def busier_engine() -> Iterator[str]:
    """Address of a /metrics whose number of running requests is one higher at each look."""
    running = count(1)

    class Metrics(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = METRICS + b'vllm:num_requests_running{engine="0"} %d\n' % next(running)
            self.send_response(200 if self.path == "/metrics" else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Metrics)
    thread = Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/metrics"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def sampler(*arguments: object) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "loadtest.engines.sampler", *map(str, arguments)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0) as process:
        try:
            yield process
        finally:
            process.kill()


def read(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """The next sample."""
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], SOON_S)[0], "no sample came"
    sample: dict[str, Any] = json.loads(process.stdout.readline())
    return sample


def ask(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.write(b"\n")


def end(process: subprocess.Popen[bytes]) -> tuple[int, bytes]:
    """(exit code, stderr) after its stdin was closed."""
    assert process.stdin is not None and process.stderr is not None
    process.stdin.close()
    return process.wait(SOON_S), process.stderr.read()


def test_each_sample_looks_anew_and_says_when() -> None:
    before = time.perf_counter_ns()
    with busier_engine() as url, sampler("--url", url, "--interval", 0.05) as process:
        samples = [read(process) for _ in range(3)]
        after = time.perf_counter_ns()
        assert end(process) == (0, b"")
    assert [one["engines"][0]["running"] for one in samples] == [1, 2, 3]
    assert {(one["engines"][0]["waiting"], one["engines"][0]["kv_usage"]) for one in samples} == {(2, 0.5)}
    assert {one["engines"][0]["preemptions"] for one in samples} == {None}
    assert {(one["asked"], *one["rss"]) for one in samples} == {(False,)}
    moments = [one["at"] for one in samples]
    assert before < moments[0] < moments[1] < moments[2] < after
    assert moments[2] - moments[0] >= 0.09e9


def test_a_request_gets_a_sample_at_once_and_then_dense_ones_that_thin_out() -> None:
    """Left alone it would sample once a minute."""
    with sampler("--pid", os.getpid(), "--interval", 60) as process:
        assert read(process)["asked"] is False
        before = time.perf_counter_ns()
        ask(process)
        samples = [read(process) for _ in range(4)]
    assert samples[0]["at"] > before
    assert [one["asked"] for one in samples] == [True, False, False, False]
    gaps = [(later["at"] - one["at"]) / 1e9 for one, later in zip(samples, samples[1:], strict=False)]
    assert all(gap >= floor for gap, floor in zip(gaps, (0.095, 0.125, 0.16), strict=True))


def test_one_silent_engine_does_not_hide_the_others() -> None:
    with (
        scripted(json_answer("503 Service Unavailable", b"{}")) as down,
        scripted(json_answer("200 OK", METRICS)) as up,
    ):
        with sampler("--url", REFUSED, "--url", f"{up}/metrics", "--url", f"{down}/metrics") as process:
            engines = read(process)["engines"]
    assert engines[0] is None and engines[2] is None
    assert (engines[1]["waiting"], engines[1]["running"]) == (2, None)


@pytest.mark.parametrize("address", ["not an address", "http://[::1", "http://127.0.0.1:99999/metrics", REFUSED])
def test_an_address_without_an_engine_is_unknown(address: str) -> None:
    assert scrape(address) is None


CUT_OFF = json_answer("200 OK", METRICS)[:-10]


@pytest.mark.parametrize("answer", [CUT_OFF, b"220 smtp ready\r\n"], ids=["cut off", "not HTTP"])
def test_an_engine_that_dies_in_its_answer_does_not_end_the_sampler(answer: bytes) -> None:
    with scripted(answer) as url, sampler("--url", f"{url}/metrics") as process:
        assert read(process)["engines"] == [None]


HOLDER = "import sys; held = b'x' * (64 << 20); print('held', flush=True); sys.stdin.read()"
PARENT_OF_HOLDER = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {HOLDER!r}])"


def test_memory_is_that_of_the_whole_tree_and_unknown_once_it_is_gone() -> None:
    """A parent that holds next to nothing, and below it a child that holds 64 MiB."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", PARENT_OF_HOLDER], stdin=pipe, stdout=pipe) as parent:
        assert parent.stdin is not None and parent.stdout is not None
        assert parent.stdout.readline() == b"held\n"
        alone = psutil.Process(parent.pid).memory_info().rss
        with sampler("--pid", parent.pid, "--pid", os.getpid(), "--interval", 60) as process:
            tree, own = read(process)["rss"]
            parent.stdin.close()
            parent.wait(SOON_S)
            ask(process)
            gone, still = read(process)["rss"]
    assert alone < 40 * MIB
    assert alone + 64 * MIB < tree < alone + 128 * MIB
    assert own > 10 * MIB and still > 10 * MIB
    assert gone is None and tree_rss(parent.pid) is None


def test_it_ends_when_told_in_the_middle_of_a_long_interval() -> None:
    with sampler("--url", REFUSED, "--interval", 600) as process:
        read(process)
        assert end(process) == (0, b"")


def test_ctrl_c_in_the_terminal_is_left_to_the_load_test() -> None:
    with sampler("--url", REFUSED, "--interval", 600) as process:
        read(process)
        process.send_signal(signal.SIGINT)
        ask(process)
        assert read(process)["asked"] is True
        assert end(process) == (0, b"")


def test_it_ends_without_a_word_when_nobody_reads_any_more() -> None:
    with sampler("--url", REFUSED, "--interval", 0.05) as process:
        read(process)
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.wait(SOON_S) == 1
        assert process.stderr.read() == b""


def test_it_ends_when_its_parent_dies() -> None:
    """The parent is killed and cannot tell it; stdout, which we hold, still has a reader."""
    program = (
        "import subprocess, sys, time\n"
        "command = [sys.executable, '-m', 'loadtest.engines.sampler', '--url', sys.argv[1], '--interval', '0.05']\n"
        "process = subprocess.Popen(command, stdin=subprocess.PIPE)\n"
        "time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, REFUSED], cwd=ROOT, stdout=subprocess.PIPE, bufsize=0
    ) as parent:
        read(parent)
        [child] = psutil.Process(parent.pid).children()
        parent.kill()
        parent.wait()
        _, alive = psutil.wait_procs([child], timeout=SOON_S)
    assert not alive


def test_an_engine_behind_a_socket_is_sampled_and_no_proxy_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with busier_engine() as url:
        assert scrape(url) is not None, "a proxy was asked for the engine's numbers"
    with TemporaryDirectory(prefix="fb-") as folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{folder}/engine.sock")
        listener.listen()

        def serve() -> None:
            for status in ("200 OK", "500 No"):
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    head = f"HTTP/1.1 {status}\r\ncontent-length: {len(METRICS)}\r\n\r\n"
                    connection.sendall(head.encode() + METRICS)

        thread = Thread(target=serve)
        thread.start()
        first = scrape(f"unix:{folder}/engine.sock/metrics")
        second = scrape(f"unix:{folder}/engine.sock/metrics")
        thread.join()
    assert first is not None and (first["waiting"], first["kv_usage"]) == (2.0, 0.5)
    assert second is None
    assert scrape("unix:/nowhere/engine.sock/metrics") is None
