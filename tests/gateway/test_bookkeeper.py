"""Killed, locked out, out of disk: what is on record then, and that no request hears of it."""

from __future__ import annotations

import os
import re
import resource
import signal
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.gateway.harness import Engine, Gateway, bearer, chat, keys, used, wait_until

URL = "/v1/chat/completions"
SOON_S = 3.0
TOKENS = 8


def requests_in(store: Path) -> int:
    return sum(line["requests"] for line in used(store))


def failures(gateway: Gateway) -> float:
    sample = 'gateway_ledger_write_failures_total{deployment="test"} '
    return float(gateway.metrics().partition(sample)[2].partition("\n")[0])


def finished(engine: Engine) -> int:
    found = re.search(
        r'^vllm:request_success_total\{.*"length".*\} (.*)$', httpx.get(f"{engine.url}/metrics").text, re.M
    )
    assert found
    return int(float(found[1]))


@pytest.mark.parametrize("stream", [True, False])
def test_p80_kill_9_under_load_loses_at_most_a_second(
    start_engine: Callable[..., Engine], start_gateway: Callable[..., Gateway], store: Path, stream: bool
) -> None:
    engine = start_engine(ttft_ms=5, itl_ms=0)
    gateway = start_gateway([engine.url], store=str(store))
    gateway.wait_up()
    stop = threading.Event()

    def load() -> None:
        with gateway.client() as client:
            while not stop.is_set():
                try:
                    client.post(URL, json=chat(stream, max_tokens=TOKENS))
                except httpx.HTTPError:
                    return

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    samples = []
    for _ in range(30):
        samples.append((time.monotonic(), finished(engine)))
        time.sleep(0.1)
    os.kill(gateway.pid, signal.SIGKILL)
    killed = time.monotonic()
    stop.set()
    for thread in threads:
        thread.join()
    a_second_before = max(count for at, count in samples if at <= killed - 1)
    assert a_second_before > 50
    (line,) = used(store)
    assert a_second_before <= line["requests"] <= finished(engine)
    assert line["completion_tokens"] == TOKENS * line["requests"]


def test_p80_all_is_on_record_when_it_is_asked_to_stop(gateway_with_store: Gateway, store: Path) -> None:
    with gateway_with_store.client() as client:
        for _ in range(20):
            client.post(URL, json=chat(max_tokens=1))
    gateway_with_store.terminate()
    assert gateway_with_store.exit_code() == 0
    assert requests_in(store) == 20


def test_p80_a_locked_store_costs_no_request_and_nothing_is_lost(gateway_with_store: Gateway, store: Path) -> None:
    other = sqlite3.connect(store, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with gateway_with_store.client() as client:
        for _ in range(10):
            assert client.post(URL, json=chat(max_tokens=1)).status_code == 200
        wait_until(lambda: failures(gateway_with_store) >= 2, 10, "failed twice")
        assert gateway_with_store.stderr().count("usage cannot be written") == 1
        other.execute("ROLLBACK")
        other.close()
        wait_until(lambda: requests_in(store) == 10, SOON_S, "written after all")
    wait_until(lambda: "usage is written again" in gateway_with_store.stderr(), SOON_S, "told")


def test_p80_a_full_disk_costs_no_request_and_nothing_is_lost(gateway_with_store: Gateway, store: Path) -> None:
    with gateway_with_store.client() as client:
        assert client.post(URL, json=chat(max_tokens=1)).status_code == 200
        wait_until(lambda: requests_in(store) == 1, SOON_S, "written")
        largest = max(path.stat().st_size for path in store.parent.iterdir() if path.name.startswith("store"))
        before = resource.prlimit(gateway_with_store.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(gateway_with_store.pid, resource.RLIMIT_FSIZE, (largest // 2, before[1]))
        for _ in range(10):
            assert client.post(URL, json=chat(max_tokens=1)).status_code == 200
        wait_until(lambda: failures(gateway_with_store) >= 2, 10, "failed twice")
        resource.prlimit(gateway_with_store.pid, resource.RLIMIT_FSIZE, before)
        wait_until(lambda: requests_in(store) == 11, SOON_S, "written after all")
    assert gateway_with_store.stderr().count("usage cannot be written") == 1


def test_p80_keys_work_while_the_store_is_locked(gateway_with_store: Gateway, store: Path) -> None:
    key = keys(store, "create", "alice")["key"]
    url = f"{gateway_with_store.url}/v1/models"
    wait_until(lambda: httpx.get(url, headers=bearer(key)).status_code == 200, SOON_S, "known")
    other = sqlite3.connect(store, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for _ in range(10):
        assert httpx.get(url, headers=bearer(key)).status_code == 200
        time.sleep(0.1)
    other.close()


def test_two_gateways_may_share_a_store(start_gateway: Callable[..., Gateway], engine: Engine, store: Path) -> None:
    gateways = [start_gateway([engine.url], store=str(store)) for _ in range(2)]
    for gateway in gateways:
        gateway.wait_up()
        with gateway.client() as client:
            for _ in range(20):
                assert client.post(URL, json=chat(max_tokens=1)).status_code == 200
    wait_until(lambda: requests_in(store) == 40, SOON_S, "both written")
