"""Two gateways on two boxes (a store each) with one real PostgreSQL: keys and usage, whatever becomes of it."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from gateway.keys.postgres import PostgresStore
from tests.gateway.harness import Engine, Gateway, bearer, chat, keys, run, used, wait_until, write_config
from tests.gateway.keys.postgreses import PASSWORD, Postgres, server

URL = "/v1/chat/completions"
# The promise is one second and what the server takes to answer; a machine with more to do than it can is late.
SOON_S = 5.0
FULL = """
CREATE FUNCTION fullbatch.full_disk() RETURNS trigger LANGUAGE plpgsql AS
  'BEGIN RAISE EXCEPTION USING ERRCODE = ''disk_full'', MESSAGE = ''could not extend file: No space left''; END';
CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON fullbatch.usage EXECUTE FUNCTION fullbatch.full_disk();
"""


@pytest.fixture
def own() -> Iterator[Postgres]:
    """One that a test may kill."""
    with Postgres() as found:
        yield found


class Boxes:
    """A and B: a folder and a gateway each; ``asked``: requests that got an answer, by key."""

    def __init__(self, folder: Path, url: str, start: Callable[..., Gateway], engine: Engine) -> None:
        self.url, self.start, self.engine = url, start, engine
        self.folders = [folder / name for name in "ab"]
        self.stores = [one / "store" for one in self.folders]
        for one in self.folders:
            one.mkdir()
            (one / "url").write_text(url + "\n")
        self.asked: dict[str, int] = {}
        self.gateways: list[Gateway] = []

    def move(self) -> None:
        """A's keys and usage go to the server, and B joins."""
        for number, command in enumerate(("to-postgres", "join")):
            file = self.folders[number] / "url"
            keys(self.stores[number], "create", f"own-{number}")
            done = run("gateway.store", "--store", str(self.stores[number]), command, "--url-file", str(file))
            assert done.returncode == 0, done.stderr
            assert PASSWORD not in done.stdout

    def begin(self, number: int) -> Gateway:
        gateway = self.start([self.engine.url], store=str(self.stores[number]))
        gateway.wait_up()
        return gateway

    def begin_both(self) -> None:
        self.gateways = [self.begin(0), self.begin(1)]

    def knows(self, number: int, key: str) -> bool:
        return httpx.get(f"{self.gateways[number].url}/v1/models", headers=bearer(key)).status_code == 200

    def ask(self, number: int, name: str, key: str, times: int = 1) -> None:
        with httpx.Client(base_url=self.gateways[number].url, headers=bearer(key), timeout=20) as client:
            for _ in range(times):
                began = time.monotonic()
                assert client.post(URL, json=chat(max_tokens=1)).status_code == 200
                assert time.monotonic() - began < 5, "it waited for the server"
                self.asked[name] = self.asked.get(name, 0) + 1

    def booked(self) -> dict[str, int]:
        """What the server has."""
        with closing(PostgresStore(server(self.url))) as there:
            return {line.name: line.requests for line in there.report(["key"], "0001-01-01", "9999-12-31")}

    def all_booked(self, what: str) -> None:
        wait_until(lambda: self.booked() == self.asked, 30, what)


@pytest.fixture
def boxes_of(
    tmp_path: Path, start_gateway: Callable[..., Gateway], start_engine: Callable[..., Engine]
) -> Callable[[Postgres], Boxes]:
    """Both, with a database of this server."""

    def start(there: Postgres) -> Boxes:
        found = Boxes(tmp_path, there.database(), start_gateway, start_engine(ttft_ms=1, itl_ms=1, tokens=1))
        found.move()
        found.begin_both()
        return found

    return start


def test_p243_p244_keys_and_usage_are_those_of_both_whatever_becomes_of_the_server(
    boxes_of: Callable[[Postgres], Boxes], own: Postgres
) -> None:
    """Made on A, known on B; revoked; then killed, silent, full, read-only, and a gateway killed in the middle."""
    boxes = boxes_of(own)
    a, b = boxes.stores
    made = keys(a, "create", "alice")["key"]
    began = time.monotonic()
    wait_until(lambda: boxes.knows(1, made), SOON_S, "known on B")
    wait_until(lambda: boxes.knows(0, made), SOON_S, "known on A")
    assert time.monotonic() - began < SOON_S
    boxes.ask(0, "alice", made, 3)
    boxes.ask(1, "alice", made, 4)
    boxes.all_booked("both, once each")
    assert used(b)[0]["requests"] == 7  # any box reports what all have used

    gone = keys(b, "create", "gone")["key"]
    wait_until(lambda: boxes.knows(0, gone), SOON_S, "made on B, known on A")
    keys(b, "revoke", "gone")
    wait_until(lambda: not boxes.knows(0, gone), SOON_S, "revoked on B, refused on A")

    own.kill()
    boxes.ask(0, "alice", made, 5)
    boxes.ask(1, "alice", made, 5)
    refused = run("gateway.keys", "--store", str(a), "list")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "refused" in refused.stderr
    # How much waits, and for how long, is told; of the one that is killed here it begins anew.
    wait_until(lambda: told(boxes.gateways[1])[:2] == (0, 5), 20, lambda: str(told(boxes.gateways[1])))
    wait_until(lambda: told(boxes.gateways[1])[2] > 1, 20, "it grows older")
    # A gateway that starts meanwhile knows the keys that it knew; one that is killed loses nothing that it wrote down.
    wait_until(lambda: waiting(a) == 5, 10, "written down")
    boxes.gateways[0].send(signal.SIGKILL)
    boxes.gateways[0] = boxes.begin(0)
    assert "starts with the keys that it knew last" in boxes.gateways[0].stderr()
    boxes.ask(0, "alice", made, 2)
    own.start()
    boxes.all_booked("after the server was away")
    for gateway in boxes.gateways:
        wait_until(lambda gateway=gateway: told(gateway) == (1, 0, 0), 20, "back")  # type: ignore[misc]

    silent_and_full(boxes, own, made)
    read_only(boxes, own, made)
    for gateway in boxes.gateways:
        assert PASSWORD not in gateway.stderr()
        assert PASSWORD not in Path(f"/proc/{gateway.pid}/cmdline").read_text()


def told(gateway: Gateway) -> tuple[float, float, float]:
    """Whether the server is there, how many requests' usage waits for it, and for how many seconds."""
    names = ("gateway_postgres_up", "gateway_usage_waiting_requests", "gateway_usage_waiting_seconds")
    up, waits, seconds = map(gateway.metric, names)
    return up, waits, seconds


def silent_and_full(boxes: Boxes, own: Postgres, made: str) -> None:
    still = own.pause()
    try:
        boxes.ask(0, "alice", made, 3)
        boxes.ask(1, "alice", made, 3)
    finally:
        own.resume(still)
    boxes.all_booked("after it was silent")

    own.sql(FULL, boxes.url)
    boxes.ask(1, "alice", made, 6)
    wait_until(lambda: "No space left" in boxes.gateways[1].stderr(), 20, "told")
    own.sql("DROP TRIGGER full_disk ON fullbatch.usage", boxes.url)
    boxes.all_booked("after it was full")


def read_only(boxes: Boxes, own: Postgres, made: str) -> None:
    name = boxes.url.rpartition("/")[2]
    own.sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    own.kill()
    own.start()
    boxes.ask(0, "alice", made, 2)
    wait_until(lambda: "read-only" in boxes.gateways[0].stderr(), 30, "told")
    assert boxes.knows(0, made)
    own.sql(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    own.kill()
    own.start()
    boxes.all_booked("after it was read-only")


def test_p244_a_gateway_killed_again_and_again_while_it_sends_loses_and_doubles_nothing(
    boxes_of: Callable[[Postgres], Boxes], postgres: Postgres
) -> None:
    """Six kills under load. What a request used is written down within 0.6 s, so each kill waits for that."""
    boxes = boxes_of(postgres)
    made = keys(boxes.stores[0], "create", "alice")["key"]
    wait_until(lambda: all(boxes.knows(number, made) for number in (0, 1)), SOON_S, "known")
    for turn in range(6):
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda number: boxes.ask(number, f"{number}", made, 5), (0, 1)))
        time.sleep(0.6 + turn * 0.09)  # somewhere in packing, sending, hearing, dropping
        boxes.gateways[0].send(signal.SIGKILL)
        boxes.gateways[0] = boxes.begin(0)
    boxes.asked = {"alice": sum(boxes.asked.values())}
    boxes.all_booked("each once")


def waiting(store: Path) -> int:
    done = run("gateway.store", "--store", str(store), "status", "--json")
    found: int = json.loads(done.stdout)["waiting_requests"]
    return found


def test_p243_a_gateway_refuses_a_server_that_is_not_its_own(
    tmp_path: Path, postgres: Postgres, start_gateway: Callable[..., Gateway], engine: Engine
) -> None:
    """At the start by exit code 2 and one line; while it runs by a line in the log, and it goes on."""
    store = tmp_path / "store"
    (tmp_path / "url").write_text(postgres.database())
    keys(store, "create", "alice")
    moved = run("gateway.store", "--store", str(store), "to-postgres", "--url-file", str(tmp_path / "url"))
    assert moved.returncode == 0, moved.stderr
    gateway = start_gateway([engine.url], store=str(store))
    file = tmp_path / "store.postgres"
    good = file.read_text()
    for written, said in (
        (good.replace(PASSWORD, "wrong"), "password authentication failed"),
        (good.replace("id: ", "id: 0000"), "holds the store of another deployment"),
        ("url: host=x password=hunter2\n", "is no address of a PostgreSQL"),
        ("- 1\n", "must be 'url: "),
        (good.replace("127.0.0.1", "10.1.2.3"), "10.1.2.3 is another machine: add sslmode=verify-full"),
    ):
        file.write_text(written)
        config = write_config(tmp_path, ["http://127.0.0.1:9"], "second.yaml", store=str(store))
        for words in (("gateway", "--config", str(config)), ("gateway.keys", "--store", str(store), "list")):
            refused = run(*words)
            assert (refused.returncode, refused.stderr.count("\n")) == (2, 1), refused.stderr
            assert said in refused.stderr
            assert "hunter2" not in refused.stderr
            assert PASSWORD not in refused.stderr
    wait_until(lambda: "10.1.2.3 is another machine" in gateway.stderr(), 10, "told")
    file.write_text(good)
    wait_until(lambda: "go to and fro again" in gateway.stderr(), 10, "right again")
    gateway.stop()


def test_p243_moving_to_and_fro_under_load_loses_nothing(
    tmp_path: Path, postgres: Postgres, start_gateway: Callable[..., Gateway], engine: Engine
) -> None:
    """The gateway runs on and is asked all the while; no restart."""
    boxes = Boxes(tmp_path, postgres.database(), start_gateway, engine)
    store = boxes.stores[0]
    made = keys(store, "create", "alice", "--requests-per-minute", "100000", "--models", "tiny")["key"]
    boxes.gateways = [boxes.begin(0)]
    ended = threading.Event()

    def ask() -> None:
        while not ended.is_set():
            boxes.ask(0, "alice", made)

    with ThreadPoolExecutor(1) as pool:
        load = pool.submit(ask)
        try:
            words = ("--url-file", str(boxes.folders[0] / "url"))
            for command, more in (("to-postgres", words), ("to-sqlite", ())):
                time.sleep(1)
                done = run("gateway.store", "--store", str(store), command, *more)
                assert done.returncode == 0, done.stderr
            time.sleep(1)
        finally:
            ended.set()
        load.result()
    assert not (boxes.folders[0] / "store.postgres").exists()
    wait_until(lambda: used(store)[0]["requests"] == boxes.asked["alice"], 10, "all of it, once")
    (alice,) = keys(store, "list")
    assert (alice["requests_per_minute"], alice["models"]) == (100000, ["tiny"])
    boxes.gateways[0].stop()
    again = run("gateway.store", "--store", str(store), "join", *words)
    assert "was moved back to one box on" in again.stderr
