"""Peers that are not to be used: refused by name before anything is written, or isolated while they run."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.engines.peer_report import PROTOCOL
from tests.gateway.far_boxes import Authority, Boxes, Front, state_of
from tests.gateway.harness import chat, keys, wait_until
from tests.ports import free_port

URL = "/v1/chat/completions"


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
    engine = {"name": "e", "models": ["tiny"], "configured": ["tiny"], "reason": "", "max_num_seqs": 4,
              "max_num_batched_tokens": 64, "max_model_len": 64, "kv_cache_tokens": 64, "running": 0, "waiting": 0,
              "free": 4, "addresses": 1, "load": 0, "generated": 0}  # fmt: skip
    good = {"protocol": PROTOCOL, "version": "9.9", "id": "x", "time": time.time(), "engines": [engine]}
    answer |= good
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
        answer |= good | change
        wait_until(lambda why=why: why in state_of(a, "odd").get("reason", ""), 20, why)  # type: ignore[misc]
        with a.client() as client:
            assert client.post(URL, json=chat()).status_code == 200  # by its own engine
        assert why in json.loads(boxes.peers("list", "--json").stdout)[0]["state"]
