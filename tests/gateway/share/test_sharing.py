"""Several gateways and a real Valkey: limits and fairness over all of them, whatever becomes of it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.admission.attained_service import jain
from tests.gateway.harness import Engine, Gateway, bearer, chat, keys, run, used, wait_until, write_config
from tests.gateway.share.valkeys import Valkey

URL = "/v1/chat/completions"
PER_MINUTE = 120


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Valkey]:
    with Valkey(tmp_path) as found:
        yield found


class Pair:
    """Two gateways with one store, one engine and one Valkey."""

    def __init__(self, folder: Path, start: Callable[..., Gateway], engine: Engine, url: str, **settings: Any) -> None:
        self.store = folder / "store"
        run("gateway.keys", "--store", str(self.store), "create", "first")
        self.both = [start([engine.url], store=str(self.store), share=url, **settings) for _ in range(2)]
        for gateway in self.both:
            gateway.wait_up()

    def heard(self) -> None:
        for gateway in self.both:
            wait_until(partial(self.says, gateway, 1, 2), 20, "both know of each other")

    @staticmethod
    def gateways(gateway: Gateway) -> tuple[float, float]:
        return gateway.metric("gateway_share_up"), gateway.metric("gateway_share_gateways")

    def says(self, gateway: Gateway, up: int, gateways: int) -> bool:
        return self.gateways(gateway) == (up, gateways)

    def key(self, name: str, *terms: str) -> str:
        made: str = keys(self.store, "create", name, *terms)["key"]
        for gateway in self.both:
            wait_until(partial(self.knows, gateway, made), 20, "the key known")
        return made

    @staticmethod
    def knows(gateway: Gateway, key: str) -> bool:
        return httpx.get(f"{gateway.url}/v1/models", headers=bearer(key)).status_code == 200

    def flood(self, key: str, seconds: float, pause_s: float = 0.02) -> list[int]:
        """Ask both, as a balancer would; the statuses."""
        end = time.monotonic() + seconds

        def ask(gateway: Gateway) -> list[int]:
            found = []
            with httpx.Client(base_url=gateway.url, headers=bearer(key), timeout=20) as client:
                while time.monotonic() < end:
                    found.append(client.post(URL, json=chat(max_tokens=1)).status_code)
                    time.sleep(pause_s)
            return found

        with ThreadPoolExecutor(4) as pool:
            return [status for found in pool.map(ask, self.both * 2) for status in found]


def test_p240_a_limit_is_one_limit_through_both_and_with_valkey_gone(
    tmp_path: Path, start_gateway: Callable[..., Gateway], start_engine: Callable[..., Engine], shared: Valkey
) -> None:
    """A full bucket and what comes back meanwhile; then with Valkey killed in the middle: empty again, or gone."""
    engine = start_engine(ttft_ms=1, itl_ms=1, tokens=1)
    pair = Pair(tmp_path, start_gateway, engine, shared.url)
    pair.heard()
    seconds, answered = 20.0, dict[str, int]()

    def empty_again() -> None:
        shared.kill()
        shared.start()

    for name, meanwhile in (("steady", None), ("emptied", empty_again), ("killed", shared.kill)):
        key = pair.key(name, "--requests-per-minute", str(PER_MINUTE))
        if meanwhile:
            threading.Timer(0.3 * seconds, meanwhile).start()
        statuses = pair.flood(key, seconds)
        assert set(statuses) == {200, 429}
        let_in, fair = statuses.count(200), PER_MINUTE + PER_MINUTE * seconds / 60
        # The debt of the first second comes off what follows; without Valkey each goes on with its half.
        assert 0.9 * fair <= let_in <= 1.1 * fair, (name, let_in, fair)
        answered[name] = let_in
    for gateway in pair.both:
        wait_until(partial(pair.says, gateway, 0, 2), 20, "alone")
    shared.start()
    pair.heard()
    # Whatever became of Valkey: each request is booked, and once.
    wait_until(lambda: {line["key"]: line["requests"] for line in used(pair.store)} == answered, 10, "all of it booked")


def test_p241_keys_have_the_same_wherever_they_come_in(
    tmp_path: Path, start_gateway: Callable[..., Gateway], start_engine: Callable[..., Engine], shared: Valkey
) -> None:
    """Two heavy keys at one gateway, a light one at the other, and one at both: Jain's index over what they got."""
    engine = start_engine(ttft_ms=5, itl_ms=4, tokens=25)
    pair = Pair(tmp_path, start_gateway, engine, shared.url, engine_numbers={"max_num_seqs": 8})
    pair.heard()
    first, second = pair.both
    plan = [("a", first, 12), ("b", first, 6), ("c", second, 6), ("d", first, 4), ("d", second, 4)]
    made = {name: pair.key(name) for name in "abcd"}
    end = time.monotonic() + 15

    def ask(name: str, gateway: Gateway) -> int:
        got = 0
        with httpx.Client(base_url=gateway.url, headers=bearer(made[name]), timeout=30) as client:
            while time.monotonic() < end:
                got += client.post(URL, json=chat()).status_code == 200 and time.monotonic() < end
        return got

    with ThreadPoolExecutor(40) as pool:
        asked = [(name, pool.submit(ask, name, gateway)) for name, gateway, count in plan for _ in range(count)]
        shares = {name: float(sum(future.result() for who, future in asked if who == name)) for name in made}
    assert jain(shares.values()) >= 0.95, shares


def test_p242_a_slow_full_or_strange_valkey_costs_no_request(
    tmp_path: Path, start_gateway: Callable[..., Gateway], engine: Engine, shared: Valkey
) -> None:
    pair = Pair(tmp_path, start_gateway, engine, shared.url)
    pair.heard()
    key = pair.key("someone")

    def served() -> None:
        statuses = pair.flood(key, 1.0)
        assert set(statuses) == {200}

    with shared.client() as client:
        # Somebody's field in our own hash: left out by name.
        client.hset("fullbatch:test:gateways", "stranger", "?")
        wait_until(lambda: "field 'stranger' is no gateway's" in pair.both[0].stderr(), 20, "the stranger named")
        assert pair.gateways(pair.both[0]) == (1, 2)
        # Full.
        client.config_set("maxmemory", "1")
        wait_until(lambda: pair.gateways(pair.both[0])[0] == 0, 20, "full is as gone")
        served()
        client.config_set("maxmemory", "0")
        pair.heard()
        # Emptied.
        client.flushall()
        served()
        pair.heard()
        # Somebody else's key where ours was.
        client.delete("fullbatch:test:gateways")
        client.set("fullbatch:test:gateways", "mine")
        wait_until(lambda: pair.gateways(pair.both[1])[0] == 0, 20, "another's key is as gone")
        served()
        client.delete("fullbatch:test:gateways")
        pair.heard()
    # It answers nothing at all.
    os.kill(shared.pid, signal.SIGSTOP)
    try:
        wait_until(lambda: pair.gateways(pair.both[0])[0] == 0, 20, "silent is as gone")
        served()
    finally:
        os.kill(shared.pid, signal.SIGCONT)
    pair.heard()
    # One gateway ends: all places and limits are the other's.
    pair.both[0].stop()
    wait_until(lambda: pair.gateways(pair.both[1]) == (1, 1), 20, "the other alone")


def test_p242_what_is_not_ours_is_refused_before_anything_is_written(tmp_path: Path, shared: Valkey) -> None:
    config = write_config(tmp_path, ["http://127.0.0.1:1"], share=shared.url)
    with shared.client() as client:
        client.set("fullbatch:test:gateways", "somebody's")
        refused = run("gateway", "--config", str(config))
        assert refused.returncode == 2
        assert "another program has keys there that begin with 'fullbatch:test:'" in refused.stderr
        client.delete("fullbatch:test:gateways")
        client.set("fullbatch:test:protocol", "99")
        refused = run("gateway", "--config", str(config))
        assert refused.returncode == 2
        assert "gateways of another version share there" in refused.stderr
        assert client.keys() == [b"fullbatch:test:protocol"]


def test_p242_a_gateway_starts_and_serves_without_its_valkey(
    tmp_path: Path, start_gateway: Callable[..., Gateway], engine: Engine
) -> None:
    with Valkey(tmp_path) as gone:
        gone.kill()
        pair = Pair(tmp_path, start_gateway, engine, gone.url)
        assert [pair.gateways(gateway) for gateway in pair.both] == [(0, 2), (0, 2)]
        assert set(pair.flood(pair.key("someone"), 0.5)) == {200}
        gone.start()
        pair.heard()


@pytest.mark.parametrize(
    "url", ["redis://h:1", "valkey://", "valkey://u:secret@h:1", "unix:x", "valkey://h:1/x", "h:1"]
)
def test_p242_an_address_that_is_none_is_one_line_without_a_password(tmp_path: Path, url: str) -> None:
    refused = run("gateway", "--config", str(write_config(tmp_path, ["http://127.0.0.1:1"], share=url)))
    assert refused.returncode == 2
    assert "share.url: " in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert "secret" not in refused.stderr
