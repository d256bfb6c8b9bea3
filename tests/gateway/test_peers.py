"""Two boxes: a gateway that uses another one's engines over TLS, with a key of its own."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx

from gateway.engines.peer_report import PROTOCOL
from gateway.keys.users import name_of
from tests.gateway.far_boxes import Boxes, Front, state_of, up
from tests.gateway.harness import (
    KEY,
    Engine,
    Gateway,
    bearer,
    chat,
    chat_bytes,
    keys,
    post_bytes,
    run,
    used,
    wait_until,
)
from tests.gateway.harness import Raw as RawSocket
from tests.ports import free_port

URL = "/v1/chat/completions"


def test_p230_a_box_without_an_engine_serves_through_another_one_and_back_again(boxes: Boxes) -> None:
    """One start for what belongs together: add, use, account, lose, come back, remove."""
    nowhere = f"http://127.0.0.1:{free_port()}"
    a = boxes.gateway(nowhere, admission={"queue_timeout_s": 30})
    added = boxes.add()
    assert added.returncode == 0, added.stderr
    assert json.loads(added.stdout) | {"version": ""} == {
        "name": "box-b", "url": boxes.front.url, "models": ["tiny"], "state": "up", "version": "",
    }  # fmt: skip
    wait_until(up(a), 20, lambda: str(state_of(a)))
    assert ((boxes.store.parent / "a-store.peers.yaml").stat().st_mode & 0o777) == 0o600
    with a.client() as client:
        answer = client.post(URL, json=chat())
        assert answer.status_code == 200, answer.text
        assert answer.json()["usage"]["completion_tokens"] == 16
        stream = client.post(URL, json=chat(stream=True)).text
        assert stream.endswith("data: [DONE]\n\n")
    assert a.metric("gateway_requests_total", outcome="ok") >= 2
    listed = json.loads(boxes.peers("list", "--json").stdout)
    assert [(one["name"], one["state"]) for one in listed] == [("box-b", "up")]
    assert boxes.key not in boxes.peers("list").stdout

    # B books under a name of its own for each key of A, since A's key is trusted there.
    b_store = boxes.folder / "b-store"
    mine = name_of("box-a", hashlib.sha256(KEY.encode()).hexdigest()[:8].encode())
    wait_until(lambda: mine in str(used(b_store)), 20, lambda: str(used(b_store)))

    _b_goes_and_comes_back(a, boxes)

    removed = boxes.peers("remove", "box-b")
    assert removed.returncode == 0
    wait_until(lambda: state_of(a)["state"] == "absent", 20, "the peer gone")
    assert boxes.peers("remove", "box-b").stderr == "peers: 'box-b': no peer of that name; there are: none\n"


def _b_goes_and_comes_back(a: Gateway, boxes: Boxes) -> None:
    """In the middle of an answer: what was begun ends with an error event, what comes waits for its return."""
    boxes.there.turn(tokens=400, itl_ms=20)
    got: list[str] = []

    def read() -> None:
        with a.client(30) as client, client.stream("POST", URL, json=chat(stream=True)) as answer:
            got.extend(line for line in answer.iter_lines() if line)

    reader = threading.Thread(target=read)
    reader.start()
    wait_until(lambda: len(got) > 3, 20, "an answer begun")
    os.kill(boxes.b.pid, signal.SIGKILL)
    reader.join(30)
    assert sum('"error"' in line for line in got) == 1, got[-3:]
    assert '"error"' in got[-1]
    boxes.there.turn(tokens=16, itl_ms=5)
    wait_until(lambda: state_of(a)["state"] == "down", 20, "the peer down")
    boxes.b_again()
    wait_until(up(a), 30, "the peer up again")
    with a.client() as client:
        assert client.post(URL, json=chat()).status_code == 200


def test_p231_both_boxes_work_and_no_request_waits_in_two_queues(
    boxes: Boxes, start_engine: Callable[..., Engine]
) -> None:
    here = start_engine(ttft_ms=20, itl_ms=5, tokens=32)
    boxes.there.turn(tokens=32)
    a = boxes.joined(here, engine_numbers={"max_num_seqs": 4})
    with ThreadPoolExecutor(40) as pool, a.client(60) as client:
        answers = list(pool.map(lambda _: client.post(URL, json=chat()).status_code, range(120)))
    assert answers == [200] * 120
    shares = [one.paths()["POST " + URL] for one in (here, boxes.there)]
    assert min(shares) >= 8, shares
    # Who waits, waits at home: B has let nobody into its queue, and refused whom it had no place for.
    assert boxes.b.metric("gateway_queue_wait_seconds_count") >= 8
    assert boxes.b.metric("gateway_queue_wait_seconds_sum") < 0.01


def test_p231_a_request_is_lost_neither_with_the_box_nor_with_the_way_to_it(
    boxes: Boxes, start_engine: Callable[..., Engine]
) -> None:
    """Those that B has and has not answered yet are done here."""
    here = start_engine(ttft_ms=20, itl_ms=2, tokens=4)
    boxes.there.turn(ttft_ms=3000)
    a = boxes.joined(here)
    with ThreadPoolExecutor(30) as pool, a.client(60) as client:
        asked = [pool.submit(lambda: client.post(URL, json=chat()).status_code) for _ in range(30)]
        wait_until(lambda: boxes.there.running() >= 3, 20, "some of them there")
        boxes.front.stop()
        assert [one.result() for one in asked] == [200] * 30


def test_p232_two_boxes_may_be_each_others_peers(boxes: Boxes, start_engine: Callable[..., Engine]) -> None:
    """And one that has added itself says so, and goes on."""
    here = start_engine()
    boxes.add()
    a = boxes.gateway(here.url)
    a.wait_up()
    with Front(boxes.authority.context(), a.port) as front:
        mine = keys(boxes.store, "create", "box-b")["key"]
        (boxes.folder / "a.key").write_text(mine)
        entry = ("--ca-file", str(boxes.authority.ca), "--key-file")
        b_store = ("--store", str(boxes.folder / "b-store"), "add")
        assert run("gateway.peers", *b_store, "box-a", front.url, *entry, str(boxes.folder / "a.key")).returncode == 0
        written = (boxes.folder / "b-store.peers.yaml").read_text()
        itself = (boxes.folder / "a-store.peers.yaml").read_text().partition("engines:\n")[2].replace("box-b", "itself")
        (boxes.folder / "b-store.peers.yaml").write_text(written + itself)
        wait_until(lambda: "it is this gateway itself" in state_of(boxes.b, "itself")["reason"], 20, "itself")
        wait_until(up(a), 20, lambda: str(state_of(a)))
        wait_until(up(boxes.b, "box-a"), 20, lambda: str(state_of(boxes.b, "box-a")))
        for gateway in (a, boxes.b):
            with gateway.client() as client:
                assert [client.post(URL, json=chat()).status_code for _ in range(6)] == [200] * 6


def test_p232_what_crosses_one_wire_crosses_no_other(boxes: Boxes) -> None:
    """A -> B -> A: B offers nothing that is not its own, and refuses a request that only a third box could serve."""
    nowhere = f"http://127.0.0.1:{free_port()}"
    a = boxes.gateway(nowhere)
    boxes.add()
    wait_until(up(a), 20, lambda: str(state_of(a)))
    via = httpx.post(a.url + URL, json=chat(), headers=bearer(KEY) | {"x-fullbatch-via": "somebody"})
    assert via.status_code == 503  # an engine of its own is configured, and down
    told = httpx.get(f"{a.url}/peer", headers=bearer(KEY)).json()
    assert (told["protocol"], [engine["models"] for engine in told["engines"]]) == (PROTOCOL, [[]])
    assert httpx.get(f"{a.url}/peer").status_code == 401


def test_p232_a_gateway_with_peers_alone_says_that_it_is_a_loop(boxes: Boxes) -> None:
    boxes.add()
    peer = {"name": "b2", "url": boxes.front.url, "kind": "peer", "key_file": str(boxes.folder / "b.key"),
            "ca_file": str(boxes.authority.ca), "models": ["tiny"], "max_num_seqs": 4, "max_num_batched_tokens": 64,
            "max_model_len": 4096, "kv_cache_tokens": 4096}  # fmt: skip
    a = boxes.gateway("http://127.0.0.1:1", engines=[peer])
    wait_until(up(a, "b2"), 20, "the peer up")
    looped = httpx.post(a.url + URL, json=chat(), headers=bearer(KEY) | {"x-fullbatch-via": "somebody"})
    assert (looped.status_code, looped.json()["error"]["code"]) == (508, "peer_loop")
    assert httpx.post(a.url + URL, json=chat(), headers=bearer(KEY), timeout=20).status_code == 200


def test_p232_a_full_box_answers_another_one_at_once(boxes: Boxes) -> None:
    b = boxes.start_gateway([boxes.there.url], engine_numbers={"max_num_seqs": 1})
    b.wait_up()
    boxes.there.turn(ttft_ms=2000)
    with RawSocket(b.port) as first:
        body = chat_bytes()
        first.send(post_bytes(body, f"Content-Length: {len(body)}"))
        wait_until(lambda: boxes.there.running() == 1, 10, "its only place taken")
        full = httpx.post(b.url + URL, json=chat(), headers=bearer(KEY) | {"x-fullbatch-via": "somebody"})
        assert (full.status_code, full.json()["error"]["code"]) == (503, "no_place")
        assert full.elapsed.total_seconds() < 1


def test_p230_a_prompt_goes_again_where_its_beginning_is_known(
    boxes: Boxes, start_engine: Callable[..., Engine]
) -> None:
    """Affinity across the wire: asked one after the other, when both boxes are idle, nothing else would part them."""
    here = start_engine(ttft_ms=300, itl_ms=1, tokens=2)
    boxes.there.turn(ttft_ms=300, itl_ms=1, tokens=2)
    a = boxes.joined(here)
    prompts = [chat(messages=[{"role": "user", "content": f"{number} " * 400}]) for number in range(10, 18)]
    with ThreadPoolExecutor(8) as pool, a.client(30) as client:
        assert set(pool.map(lambda body: client.post(URL, json=body).status_code, prompts)) == {200}
        for engine in (here, boxes.there):
            engine.turn(ttft_ms=5)

        def places() -> list[bool]:
            """Of each prompt, asked alone, whether it was answered by the other box."""
            found = []
            for body in prompts:
                before = boxes.there.paths().get("POST " + URL, 0)
                assert client.post(URL, json=body).status_code == 200
                found.append(boxes.there.paths().get("POST " + URL, 0) > before)
            return found

        first = places()
        assert set(first) == {True, False}, "both know some of them"
        assert [places() for _ in range(2)] == [first] * 2
