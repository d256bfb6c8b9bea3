"""Users of a gateway that moves between machines: each asks one of its addresses, and the next where it is no more."""

from __future__ import annotations

import http.client
import itertools
import json
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tests.e2e.swarm_machines import Lan

PORT = 8080
MODEL = "RedHatAI/Meta-Llama-3.1-8B-Instruct-FP8"
TOKENS = 60  # of an answer: a third of a second of the stand-in


@dataclass
class Load:
    """What has come back: whole answers by the machine they were asked of, and what was lost, in words."""

    whole: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)

    @property
    def asked(self) -> int:
        return self.whole.total() + len(self.lost)


def health(address: str) -> dict[str, Any] | None:
    """The gateway's /health at this address; None where there is none."""
    connection = http.client.HTTPConnection(address, PORT, timeout=5)
    try:
        connection.request("GET", "/health")
        found: dict[str, Any] = json.loads(connection.getresponse().read())
        return found
    except OSError:
        return None
    finally:
        connection.close()


def ask(addresses: Sequence[str], key: str, *, stream: bool) -> str:
    """The address that has answered; AssertionError where the answer is not whole, OSError where none came.

    The next address is tried where nobody listens or takes the whole request, and where the gateway refuses because it
    ends: of neither has anything been done. nginx does the same with
    `proxy_next_upstream error http_503 non_idempotent`.
    """
    body = {"model": MODEL, "prompt": "hello", "max_tokens": TOKENS, "stream": stream}
    headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
    for number, address in enumerate(addresses, 1):
        connection = http.client.HTTPConnection(address, PORT, timeout=60)
        try:
            try:
                connection.request("POST", "/v1/completions", json.dumps(body), headers)
            except OSError:
                if number == len(addresses):
                    raise
                continue
            response = connection.getresponse()
            text = response.read().decode()
            if response.status == 503 and "gateway_stopping" in text and number < len(addresses):
                continue
            assert response.status == 200, f"{response.status}: {text[:200]}"
            _whole(text, stream)
            return address
        finally:
            connection.close()
    raise AssertionError("no address")


def _whole(text: str, stream: bool) -> None:
    tokens = text.count('"text":"xxxx') if stream else json.loads(text)["usage"]["completion_tokens"]
    assert tokens == TOKENS and (not stream or "[DONE]" in text), f"{tokens} tokens, {text[-100:]!r}"


@contextmanager
def users(lan: Lan, addresses: Sequence[str], key: str, count: int = 12) -> Iterator[Load]:
    """So many users, each of whom asks one thing after the other until the block ends; half of them stream."""
    load, ended = Load(), threading.Event()

    def one(number: int) -> None:
        for turn in itertools.count(number):
            if ended.is_set():
                return
            order = [addresses[(turn + step) % len(addresses)] for step in range(len(addresses))]
            try:
                load.whole[ask(order, key, stream=number % 2 == 0)] += 1
            except (AssertionError, OSError, http.client.HTTPException) as error:
                load.lost.append(f"{type(error).__name__}: {error}")

    running = [lan.begin(partial(one, number)) for number in range(count)]
    try:
        yield load
    finally:
        ended.set()
        for user in running:
            user.result(timeout=90)
