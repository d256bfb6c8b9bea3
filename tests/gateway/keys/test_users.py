"""The people behind a trusted key."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from gateway.core.call import Principal
from gateway.keys import users
from gateway.keys.auth import Auth
from gateway.keys.users import Users, name_of
from tests.gateway.harness import KEY, Engine, Gateway, bearer, chat, keys, used
from tests.waiting import wait_for

CHAT = Principal("chat", requests_per_minute=5, trusted=True, operator=True)
USER = "x-openwebui-user-id"


def test_p210_a_user_has_the_keys_terms_and_none_of_its_rights() -> None:
    known = Users()
    alice, bob = known.principal(CHAT, b"alice"), known.principal(CHAT, b"bob")
    assert alice.name == name_of("chat", b"alice") != bob.name == name_of("chat", b"bob")
    assert alice.name.startswith("chat/") and "alice" not in alice.name
    assert (alice.requests_per_minute, alice.trusted, alice.operator) == (5, False, False)
    assert known.principal(CHAT, b"alice") is alice
    assert known.principal(CHAT, None) is known.principal(CHAT, b"") is CHAT
    assert name_of("other-chat", b"alice").partition("/")[2] != alice.name.partition("/")[2]


def test_p210_the_header_of_any_other_key_is_ignored() -> None:
    auth = Auth([b"plain-key-000 bob", b"chat-key-0000 chat trusted"])
    assert auth.principal(None, b"plain-key-000", b"alice").name == "bob"
    assert auth.principal(None, b"chat-key-0000", b"alice").name == name_of("chat", b"alice")
    assert auth.principal(None, b"chat-key-0000").name == "chat"
    assert auth.used == {"bob", "chat"} == set(auth.active())


def test_a_change_of_the_keys_terms_is_a_change_of_its_users() -> None:
    known = Users()
    first = known.principal(CHAT, b"alice")
    second = known.principal(dataclasses.replace(CHAT, requests_per_minute=9), b"alice")
    assert (first.name, second.requests_per_minute) == (second.name, 9)


def test_p210_users_are_bounded_and_who_has_gone_gives_way() -> None:
    clock = [0.0]
    known = Users(lambda: clock[0])
    for number in range(users.MOST):
        known.principal(CHAT, b"%d" % number)
        clock[0] += 0.001
    late, later = known.principal(CHAT, b"late"), known.principal(CHAT, b"later")
    assert late.name == later.name == "chat/other"
    assert known.principal(CHAT, b"0").name == name_of("chat", b"0")
    assert known.principal(dataclasses.replace(CHAT, name="second"), b"late").name == name_of("second", b"late")
    clock[0] += users.GIVES_WAY_S
    assert known.principal(CHAT, b"late").name == name_of("chat", b"late")


def test_p210_limits_and_usage_are_each_users_own(
    start_gateway: Callable[..., Gateway], engine: Engine, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    made = keys(store, "create", "web", "--trusted", "yes", "--requests-per-minute", "2")
    assert made["trusted"] is True
    gateway = start_gateway([engine.url], store=str(store))
    gateway.wait_up()

    def ask(user: str, key: str = made["key"]) -> httpx.Response:
        return httpx.post(f"{gateway.url}/v1/chat/completions", json=chat(), headers=bearer(key) | {USER: user})

    assert [ask("alice").status_code for _ in range(3)] == [200, 200, 429]
    assert ask("bob").status_code == 200
    assert [ask(f"{number}", KEY).status_code for number in range(3)] == [200] * 3
    alice, bob = name_of("web", b"alice"), name_of("web", b"bob")
    wait_for(lambda: {alice, bob} <= {line["key"] for line in used(store, "--by", "key")}, 10, "usage by user")
    by_name = {line["key"]: line["requests"] for line in used(store, "--by", "key")}
    assert (by_name[alice], by_name[bob]) == (2, 1)
    assert sum(name.startswith("web") for name in by_name) == 2
    assert gateway.metric("gateway_key_requests_total", key="web", outcome="ok") == 3
    assert gateway.metric("gateway_key_requests_total", key="web", outcome="overloaded") == 1
    assert alice not in gateway.metrics() and alice in gateway.stdout()


def test_p210_two_users_of_one_key_take_turns(
    start_gateway: Callable[..., Gateway], engine: Engine, tmp_path: Path
) -> None:
    """One has eight requests in the queue; the other comes after them and is served second."""
    store = tmp_path / "store"
    web = bearer(keys(store, "create", "web", "--trusted", "yes")["key"])
    gateway = start_gateway([engine.url], store=str(store), engine_numbers={"max_num_seqs": 1})
    gateway.wait_up()
    engine.turn(ttft_ms=300)
    served: list[str] = []
    lock = threading.Lock()

    def ask(user: str) -> None:
        answer = httpx.post(
            f"{gateway.url}/v1/chat/completions", json=chat(max_tokens=16), headers=web | {USER: user}, timeout=60
        )
        assert answer.status_code == 200
        with lock:
            served.append(user)

    with ThreadPoolExecutor(10) as pool:
        many = [pool.submit(ask, "many") for _ in range(8)]
        wait_for(lambda: gateway.metric("gateway_key_waiting", key="web") >= 6, 10, "a queue")
        pool.submit(ask, "one").result()
        for one in many:
            one.result()
    assert served.index("one") <= 4, served
