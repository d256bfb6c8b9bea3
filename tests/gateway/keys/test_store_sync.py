"""Killed, locked out, out of disk: what is on record then, and that no request hears of it."""

from __future__ import annotations

import asyncio
import errno
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

from gateway.core.call import Usage
from gateway.core.supervisor import Supervisor
from gateway.keys import spill, store_sync
from gateway.keys.auth import Auth
from gateway.keys.ledger import Ledger
from gateway.keys.ledger import write as ledger_write
from gateway.keys.store import KeyStore
from gateway.keys.store_sync import StoreSync
from tests.gateway.harness import Engine, Gateway, bearer, chat, keys, used, wait_until

# Of SQLite: nothing can be written beyond the first one.
PAGE_BYTES = 4096
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
        before = resource.prlimit(gateway_with_store.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(gateway_with_store.pid, resource.RLIMIT_FSIZE, (PAGE_BYTES, before[1]))
        for _ in range(10):
            assert client.post(URL, json=chat(max_tokens=1)).status_code == 200
        wait_until(lambda: failures(gateway_with_store) >= 2, 10, "failed twice")
        resource.prlimit(gateway_with_store.pid, resource.RLIMIT_FSIZE, before)
        wait_until(lambda: requests_in(store) == 11, SOON_S, "written after all")
    assert gateway_with_store.stderr().count("usage cannot be written") == 1


def leftovers(store: Path) -> list[Path]:
    return sorted(store.parent.glob("store.unwritten-*"))


def use(gateway: Gateway, requests: int) -> None:
    with gateway.client() as client:
        for _ in range(requests):
            assert client.post(URL, json=chat(max_tokens=1)).status_code == 200


def test_p80_p161_a_store_that_is_locked_at_the_end_loses_nothing(
    gateway_with_store: Gateway, start_gateway: Callable[..., Gateway], engine: Engine, store: Path
) -> None:
    other = sqlite3.connect(store, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    use(gateway_with_store, 20)
    began = time.monotonic()
    gateway_with_store.terminate()
    assert gateway_with_store.exit_code() == 0
    assert time.monotonic() - began < 6
    (left,) = leftovers(store)
    assert left.stat().st_mode & 0o777 == 0o600
    assert f"what was used is in {left} until the next start" in gateway_with_store.stderr()
    other.execute("ROLLBACK")
    again = start_gateway([engine.url], store=str(store))
    wait_until(lambda: not leftovers(store), SOON_S, "taken over")
    wait_until(lambda: f"{left}: usage of an earlier run" in again.stderr(), SOON_S, "told")
    assert requests_in(store) == 20
    again.terminate()
    again.exit_code()
    start_gateway([engine.url], store=str(store)).wait_up()
    assert requests_in(store) == 20
    other.close()


def test_p161_a_store_that_is_free_again_in_time_is_written_before_it_is_closed(
    gateway_with_store: Gateway, store: Path
) -> None:
    other = sqlite3.connect(store, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    use(gateway_with_store, 5)
    gateway_with_store.terminate()
    time.sleep(1)
    other.execute("ROLLBACK")
    other.close()
    assert gateway_with_store.exit_code() == 0
    assert leftovers(store) == []
    assert requests_in(store) == 5


def test_p161_a_report_has_what_a_stop_could_not_write(gateway_with_store: Gateway, store: Path) -> None:
    other = sqlite3.connect(store, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    use(gateway_with_store, 5)
    gateway_with_store.terminate()
    gateway_with_store.exit_code()
    other.execute("ROLLBACK")
    other.close()
    assert [requests_in(store), requests_in(store)] == [5, 5]
    assert leftovers(store) == []


def test_p161_usage_survives_a_disk_that_is_full_at_the_end(gateway_with_store: Gateway, store: Path) -> None:
    use(gateway_with_store, 1)
    wait_until(lambda: requests_in(store) == 1, SOON_S, "written")
    before = resource.prlimit(gateway_with_store.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(gateway_with_store.pid, resource.RLIMIT_FSIZE, (2048, before[1]))
    use(gateway_with_store, 10)
    gateway_with_store.terminate()
    assert gateway_with_store.exit_code() == 0
    assert len(leftovers(store)) == 1
    assert requests_in(store) == 11


async def test_p161_where_no_file_can_be_written_the_log_has_the_line_for_it(
    store: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(spill, "keep", full)
    ledger = Ledger()
    books = StoreSync(KeyStore(store), Auth(), ledger, Supervisor(), asyncio.get_running_loop())
    books.start()
    other = sqlite3.connect(store, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    ledger.add("alice", "tiny", Usage(3, 4, 1))
    await asyncio.to_thread(books.stop)
    other.execute("ROLLBACK")
    other.close()
    found = re.search(
        r"(\S+): cannot be written \(no space left on device\);.*put this line into that file: (.*)", caplog.text
    )
    assert found, caplog.text
    await asyncio.to_thread(Path(found[1]).write_text, found[2] + "\n")
    (line,) = used(store)
    assert (line["key"], line["requests"], line["prompt_tokens"], line["completion_tokens"]) == ("alice", 1, 3, 4)


async def test_p80_whatever_goes_wrong_once_does_not_end_the_accounting(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = [RuntimeError("a defect"), OverflowError("another"), sqlite3.OperationalError("a third")]

    def write(*arguments: object) -> None:
        if wrong:
            raise wrong.pop()
        ledger_write(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(store_sync, "write", write)
    ledger = Ledger()
    books = StoreSync(KeyStore(store), Auth(), ledger, Supervisor(), asyncio.get_running_loop())
    books.start()
    ledger.add("alice", "tiny", Usage(3, 4, 1))
    books.tick()
    await asyncio.to_thread(wait_until, lambda: not wrong, 10, "failed three times")
    await asyncio.to_thread(books.stop)
    assert books.failures == 3
    assert requests_in(store) == 1


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
