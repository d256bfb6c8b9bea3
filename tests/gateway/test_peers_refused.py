"""Peers that are not to be used: refused by name before anything is written, or isolated while they run."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.engines.peer_report import PROTOCOL
from tests.gateway.far_boxes import Authority, Boxes, Front, state_of
from tests.gateway.harness import Engine, chat, keys, wait_until
from tests.ports import free_port

URL = "/v1/chat/completions"
ENGINE = {
    "name": "e", "models": ["tiny"], "configured": ["tiny"], "reason": "", "max_num_seqs": 4,
    "max_num_batched_tokens": 64, "max_model_len": 64, "kv_cache_tokens": 64, "running": 0, "waiting": 0, "free": 4,
    "addresses": 1, "load": 0, "generated": 0,
}  # fmt: skip


def fit() -> dict[str, Any]:
    """An answer at `/peer` that nothing is wrong with, now."""
    return {"protocol": PROTOCOL, "version": "9.9", "id": "x", "time": time.time(), "engines": [ENGINE]}


def test_p233_who_is_not_to_be_used_is_refused_by_name_before_anything_is_written(
    boxes: Boxes, tmp_path: Path, authority: Authority
) -> None:
    def said(url: str, key: str, ca: Path) -> str:
        (tmp_path / "other.key").write_text(key)
        found = boxes.peers("add", "b", url, "--key-file", str(tmp_path / "other.key"), "--ca-file", str(ca))
        assert found.returncode == 2
        assert found.stderr.count("\n") == 1
        return str(found.stderr)

    other = Authority(tmp_path / "other")
    url, key, ca = boxes.front.url, boxes.key, authority.ca
    assert "it does not take our key (it answers 401)" in said(url, "fb-somebody-else-0123456789", ca)
    assert "signed by a CA that is not known here" in said(url, key, other.ca)
    assert "holds no certificate" in said(url, key, tmp_path / "other.key")
    assert "the way has to be encrypted; write https://10.0.0.1:8443" in said("http://10.0.0.1:8443", key, ca)
    assert "connection refused" in said(f"https://127.0.0.1:{free_port()}", key, ca)
    assert "--key-file: holds no key" in said(url, "short", ca)
    mine = keys(boxes.store, "create", "me")["key"]
    assert "the key is 'me' of this gateway itself" in said(url, mine, ca)
    with Front(Authority(tmp_path / "named").context("DNS:elsewhere.example"), boxes.port_b) as front:
        assert "its certificate is for another" in said(front.url, key, tmp_path / "named" / "ca.pem")
    assert not (boxes.store.parent / "a-store.peers.yaml").exists()


@pytest.fixture
def odd_peer(authority: Authority) -> Iterator[tuple[str, dict[str, Any]]]:
    """A server that answers `/peer` with what a test puts there."""
    answer: dict[str, Any] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with Front(authority.context(), server.server_address[1]) as front:
            yield front.url, answer
        server.shutdown()


def test_p233_another_version_or_clock_is_isolated_while_it_runs(
    boxes: Boxes, odd_peer: tuple[str, dict[str, Any]]
) -> None:
    url, answer = odd_peer
    answer |= fit()
    added = boxes.peers("add", "odd", url, "--key-file", str(boxes.folder / "b.key"), "--ca-file",
                        str(boxes.authority.ca))  # fmt: skip
    assert added.returncode == 0, added.stderr
    a = boxes.gateway(boxes.there.url)
    a.wait_up()
    for change, why in (
        ({"time": time.time() - 3600}, "s behind ours; set both by NTP"),
        ({"time": time.time() + 3700}, "s ahead of ours; set both by NTP"),
        ({"protocol": PROTOCOL + 1}, f"it speaks version {PROTOCOL + 1} of the peers' protocol"),
        ({"engines": "none"}, "cannot be read, though its version is ours"),
    ):
        answer |= fit() | change
        wait_until(lambda why=why: why in state_of(a, "odd").get("reason", ""), 20, why)  # type: ignore[misc]
        with a.client() as client:
            assert client.post(URL, json=chat()).status_code == 200  # by its own engine
        assert why in json.loads(boxes.peers("list", "--json").stdout)[0]["state"]


def test_p233_another_version_or_clock_is_refused_before_anything_is_written(
    boxes: Boxes, odd_peer: tuple[str, dict[str, Any]]
) -> None:
    url, answer = odd_peer
    words = ("add", "odd", url, "--key-file", str(boxes.folder / "b.key"), "--ca-file", str(boxes.authority.ca))
    for change, why in (
        ({"time": time.time() - 3600}, "s behind ours; set both by NTP"),
        ({"time": time.time() + 3700}, "s ahead of ours; set both by NTP"),
        ({"protocol": PROTOCOL + 1}, f"it speaks version {PROTOCOL + 1} of the peers' protocol and this gateway"),
        ({"engines": []}, "it serves nothing of what is wanted to this key; its models are: none of its own"),
    ):
        answer |= fit() | change
        refused = boxes.peers(*words)
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1), refused.stderr
        assert why in refused.stderr
        assert not boxes.store.with_name("a-store.peers.yaml").exists()
    answer |= fit()
    assert boxes.peers(*words).returncode == 0


def test_p230_a_peer_that_says_it_is_up_and_brings_no_token_gets_nothing(
    boxes: Boxes, odd_peer: tuple[str, dict[str, Any]]
) -> None:
    """Health is a token that has crossed the wire: this one answers 501 to whatever is asked of its engines."""
    url, answer = odd_peer
    answer |= fit()
    words = ("--key-file", str(boxes.folder / "b.key"), "--ca-file", str(boxes.authority.ca))
    assert boxes.peers("add", "odd", url, *words).returncode == 0
    a = boxes.gateway(boxes.there.url)
    a.wait_up()
    wait_until(lambda: "501" in state_of(a, "odd").get("reason", ""), 20, lambda: str(state_of(a, "odd")))
    with a.client() as client:
        assert [client.post(URL, json=chat()).status_code for _ in range(8)] == [200] * 8
    assert state_of(a, "odd")["state"] != "up"


def test_p231_a_key_that_the_far_box_takes_back_is_told_to_no_client(
    boxes: Boxes, start_engine: Callable[..., Engine]
) -> None:
    """Also not to those whose request was there at that moment: it is done here."""
    here = start_engine(ttft_ms=5, itl_ms=1, tokens=2)
    boxes.there.turn(ttft_ms=5, itl_ms=1, tokens=2)
    a = boxes.joined(here)
    found, ended = list[int](), threading.Event()

    def ask() -> None:
        with a.client(30) as client:
            while not ended.is_set():
                found.append(client.post(URL, json=chat()).status_code)

    users = [threading.Thread(target=ask) for _ in range(6)]
    for user in users:
        user.start()
    try:
        wait_until(lambda: boxes.there.paths().get("POST " + URL, 0) > 3, 20, "some of them there")
        keys(boxes.folder / "b-store", "revoke", "box-a")
        wait_until(lambda: "it does not take our key" in state_of(a).get("reason", ""), 20, lambda: str(state_of(a)))
        asked = len(found)
        wait_until(lambda: len(found) > asked + 20, 20, "answers go on")
    finally:
        ended.set()
        for user in users:
            user.join(30)
    assert set(found) == {200}
    assert state_of(a)["state"] != "up"
    (listed,) = json.loads(boxes.peers("list", "--json").stdout)
    assert "it does not take our key" in listed["state"]
