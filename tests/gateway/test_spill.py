"""Overflow to a server that is not ours: nobody's request leaves unless its key may, and the box is full or down."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from tests.gateway.harness import Engine, Gateway, bearer, chat, keys, run, used, wait_until
from tests.ports import free_port

URL = "/v1/chat/completions"


def add(store: Path, url: str, *words: str) -> Any:
    return run("gateway.peers", "--store", str(store), "add", "outside", url, "--models", "tiny", *words)


def state_of(gateway: Gateway) -> str:
    engines = httpx.get(f"{gateway.url}/health").json()["engines"]
    return next((str(one["state"]) for one in engines if one["name"] == "outside"), "absent")


def test_p234_only_keys_that_may_leave_and_only_when_there_is_no_place(
    tmp_path: Path, start_engine: Callable[..., Engine], start_gateway: Callable[..., Gateway]
) -> None:
    here, outside = start_engine(ttft_ms=1500), start_engine(model="small-model", ttft_ms=10)
    store = tmp_path / "store"
    may = keys(store, "create", "may")["key"]
    not_ = keys(store, "create", "stays")["key"]
    refused = add(store, outside.url, "--spill-keys", "may")
    assert refused.stderr == (
        f"peers: {outside.url}: it has no model 'tiny'; give one of these by --spill-model: small-model\n"
    )
    assert add(store, outside.url, "--spill-keys", "may", "--spill-model", "small-model", "--spill-after", "0.3",
               "--spill-most", "2").returncode == 0  # fmt: skip
    gateway = start_gateway(
        [here.url], store=str(store), engine_numbers={"max_num_seqs": 1, "max_running": 1}, prefix_sharing="key"
    )
    gateway.wait_up()
    wait_until(lambda: state_of(gateway) == "up", 20, "the server outside known")
    assert outside.paths().get("POST /v1/completions", 0) == 0  # no token is asked for: it is somebody's money

    def post(key: str, found: list[httpx.Response]) -> None:
        found.append(httpx.post(gateway.url + URL, json=chat(), headers=bearer(key), timeout=30))

    first: list[httpx.Response] = []
    left: list[httpx.Response] = []
    stayed: list[httpx.Response] = []
    threads = [threading.Thread(target=post, args=(not_, first))]
    threads[0].start()
    wait_until(lambda: here.running() == 1, 10, "the only place taken")
    threads += [threading.Thread(target=post, args=(may, left)), threading.Thread(target=post, args=(not_, stayed))]
    for thread in threads[1:]:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [one.status_code for one in (*first, *left, *stayed)] == [200, 200, 200]
    assert left[0].headers["x-spilled-to"] == "outside"
    assert "x-spilled-to" not in first[0].headers
    assert "x-spilled-to" not in stayed[0].headers
    assert outside.paths()["POST " + URL] == 1
    body = outside.last_body()
    assert body["model"] == "small-model"
    assert "cache_salt" not in body
    _without_an_engine(gateway, here, may, not_)
    listed = json.loads(run("gateway.peers", "--store", str(store), "list", "--json").stdout)
    assert [(one["name"], one["state"]) for one in listed] == [("outside", "up")]


def _without_an_engine(gateway: Gateway, here: Engine, may: str, not_: str) -> None:
    """Who may leaves at once, the others are told."""
    here.stop()
    wait_until(lambda: not gateway.metric("gateway_engine_up", engine_name="engine"), 20, "the box without an engine")
    began = time.monotonic()
    answer = httpx.post(gateway.url + URL, json=chat(stream=True), headers=bearer(may), timeout=30)
    assert (answer.status_code, answer.headers["x-spilled-to"]) == (200, "outside")
    assert answer.text.endswith("data: [DONE]\n\n")
    assert time.monotonic() - began < 5
    assert httpx.post(gateway.url + URL, json=chat(), headers=bearer(not_), timeout=30).status_code == 503
    # What comes from another gateway does not leave from here.
    via = bearer(may) | {"x-fullbatch-via": "somebody"}
    assert httpx.post(gateway.url + URL, json=chat(), headers=via, timeout=30).status_code in (503, 508)


def test_p234_a_server_that_is_none_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    store = tmp_path / "store"
    keys(store, "create", "may")
    said = add(store, f"http://127.0.0.1:{free_port()}", "--spill-keys", "may").stderr
    assert "no connection: connection refused" in said
    both = run("gateway.peers", "--store", str(store), "add", "o", "http://127.0.0.1:1", "--spill-keys", "may").stderr
    assert "--models: write the one model of this box" in both
    assert not (tmp_path / "store.peers.yaml").exists()


class Outside:
    """A server of somebody else's, which keeps what it is sent: head lines and bodies."""

    def __init__(self) -> None:
        self.heads: list[dict[str, str]] = []
        self.bodies: list[dict[str, Any]] = []
        outside = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._say({"object": "list", "data": [{"id": "theirs"}]})

            def do_POST(self) -> None:
                outside.heads.append({name.lower(): value for name, value in self.headers.items()})
                outside.bodies.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                message = {"role": "assistant", "content": "from outside"}
                choice = {"index": 0, "message": message, "finish_reason": "stop"}
                usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
                about = {"id": "x", "object": "chat.completion", "created": 1, "model": "theirs"}
                self._say(about | {"choices": [choice], "usage": usage})

            def _say(self, answer: dict[str, Any]) -> None:
                body = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None: ...

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Outside:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def test_p234_what_leaves_holds_no_key_and_no_name_of_the_box(
    tmp_path: Path, start_gateway: Callable[..., Gateway]
) -> None:
    """The server outside gets its own key, its own name for the model, and the prompt; nothing that says who asks."""
    store, theirs = tmp_path / "store", "fb-their-key-0123456789abcdef"
    (tmp_path / "their.key").write_text(theirs)
    may = keys(store, "create", "alice-of-sales", "--trusted", "yes")["key"]
    with Outside() as outside:
        words = ("--spill-keys", "alice-of-sales", "--spill-model", "theirs", "--key-file", str(tmp_path / "their.key"))
        added = add(store, outside.url, *words)
        assert added.returncode == 0, added.stderr
        gateway = start_gateway([f"http://127.0.0.1:{free_port()}"], store=str(store), prefix_sharing="key")
        wait_until(lambda: state_of(gateway) == "up", 20, "the server outside known")
        head = bearer(may) | {"x-openwebui-user-name": "Alice", "x-session-id": "s-1", "cookie": "c=1"}
        head |= {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
        answer = httpx.post(gateway.url + URL, json=chat(user="alice"), headers=head, timeout=30)
        assert (answer.status_code, answer.headers["x-spilled-to"]) == (200, "outside")
        assert answer.json()["choices"][0]["message"]["content"] == "from outside"
        (sent,), (body,) = outside.heads, outside.bodies
    assert sent["authorization"] == f"Bearer {theirs}"
    assert body["model"] == "theirs"
    told = json.dumps([sent, body])
    for ours in (may, "alice-of-sales", "Alice", "s-1", "c=1", "0af7651916cd43dd", "cache_salt", "x-fullbatch"):
        assert ours not in told, ours
    wait_until(lambda: "alice-of-sales" in str(used(store)), 20, "booked here, under its name")
