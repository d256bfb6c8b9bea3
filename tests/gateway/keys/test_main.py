"""Keys as a person makes and ends them, and what a running gateway makes of that."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from gateway.keys.store import KeyStore
from gateway.keys.stored import Terms
from tests.gateway.harness import Engine, Gateway, bearer, chat, keys, run, used, wait_until

URL = "/v1/chat/completions"
# The promise is one second; a machine with more to do than it can makes everything late.
SOON_S = 3.0


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def open_gateway(start_gateway: Callable[..., Gateway], engine: Engine, store: Path) -> Gateway:
    gateway = start_gateway([engine.url], store=str(store))
    gateway.wait_up()
    return gateway


def status(gateway: Gateway, key: str) -> int:
    return httpx.get(f"{gateway.url}/v1/models", headers=bearer(key)).status_code


def message(gateway: Gateway, key: str) -> str:
    found: str = httpx.get(f"{gateway.url}/v1/models", headers=bearer(key)).json()["error"]["message"]
    return found


def test_p70_a_key_is_shown_once_by_create_and_never_again(store: Path) -> None:
    made = run("gateway.keys", "--store", str(store), "create", "alice")
    secret = made.stdout.splitlines()[1]
    assert made.stdout.startswith("alice: new key. Shown only now:\nfb-")
    for words in (["list"], ["show", "alice"], ["list", "--json"], ["show", "alice", "--json"]):
        result = run("gateway.keys", "--store", str(store), *words)
        assert result.returncode == 0 and "alice" in result.stdout
        assert secret not in result.stdout and secret[3:] not in result.stdout


def test_p71_keys_work_and_end_within_a_second_without_restart(open_gateway: Gateway, store: Path) -> None:
    secret = keys(store, "create", "alice")["key"]
    wait_until(lambda: status(open_gateway, secret) == 200, SOON_S, "a new key known")
    keys(store, "change", "alice", "--models", "none-of-ours")
    url = f"{open_gateway.url}/v1/models"
    wait_until(lambda: httpx.get(url, headers=bearer(secret)).json()["data"] == [], SOON_S, "changed terms known")
    keys(store, "revoke", "alice")
    wait_until(lambda: status(open_gateway, secret) == 401, SOON_S, "a revoked key refused")
    assert "'alice') was revoked" in message(open_gateway, secret)


def test_p71_the_key_file_is_read_again_when_it_changes(open_gateway: Gateway, tmp_path: Path) -> None:
    key_file = tmp_path / "api_keys"
    before = key_file.read_text()
    key_file.write_text(before + "another-key-0123456789\n")
    wait_until(lambda: status(open_gateway, "another-key-0123456789") == 200, SOON_S, "a new line known")
    key_file.write_text("short\n")
    wait_until(lambda: "line 1: this key is not usable" in open_gateway.stderr(), SOON_S, "a fault told")
    assert status(open_gateway, "another-key-0123456789") == 200
    key_file.write_text(before)
    wait_until(lambda: status(open_gateway, "another-key-0123456789") == 401, SOON_S, "a line that is gone known")


def test_p72_after_a_rotation_both_work_for_the_grace_and_then_the_new_one(open_gateway: Gateway, store: Path) -> None:
    old = keys(store, "create", "alice")["key"]
    wait_until(lambda: status(open_gateway, old) == 200, SOON_S, "known")
    new = keys(store, "rotate", "alice", "--grace", "2s")["key"]
    wait_until(lambda: status(open_gateway, new) == 200, SOON_S, "the new one known")
    wait_until(lambda: status(open_gateway, old) == 401, 2 + SOON_S, "the old one out")
    assert "was replaced by a newer one" in message(open_gateway, old)
    assert status(open_gateway, new) == 200


def test_p72_during_the_grace_the_old_one_still_works(open_gateway: Gateway, store: Path) -> None:
    old = keys(store, "create", "alice")["key"]
    new = keys(store, "rotate", "alice")["key"]
    wait_until(lambda: status(open_gateway, new) == 200, SOON_S, "the new one known")
    assert status(open_gateway, old) == 200


def test_p73_a_key_ends_when_it_expires_and_says_so(open_gateway: Gateway, store: Path) -> None:
    made = keys(store, "create", "alice", "--expires", "2s")
    wait_until(lambda: status(open_gateway, made["key"]) == 200, SOON_S, "known")
    gauge = 'gateway_key_expiry_timestamp_seconds{deployment="test",key="alice"}'
    assert gauge in open_gateway.metrics()
    wait_until(lambda: status(open_gateway, made["key"]) == 401, 2 + SOON_S, "expired")
    assert "'alice') has expired" in message(open_gateway, made["key"])
    assert keys(store, "show", "alice")["state"] == "expired"


def test_p73_when_a_key_was_last_used_is_kept(open_gateway: Gateway, store: Path) -> None:
    secret = keys(store, "create", "alice")["key"]
    assert keys(store, "show", "alice")["last_used"] is None
    wait_until(lambda: status(open_gateway, secret) == 200, SOON_S, "known")
    wait_until(lambda: keys(store, "show", "alice")["last_used"] is not None, SOON_S, "written")
    assert keys(store, "show", "alice")["last_used"][:10] == time.strftime("%Y-%m-%d", time.gmtime())


def test_p36_a_key_of_the_store_is_logged_by_its_name_only(open_gateway: Gateway, store: Path) -> None:
    secret = keys(store, "create", "alice", "--tokens-per-minute", "1")["key"]
    wait_until(lambda: status(open_gateway, secret) == 200, SOON_S, "known")
    for _ in range(2):
        httpx.post(open_gateway.url + URL, headers=bearer(secret), json=chat(messages=[{"content": "canary"}]))
    keys(store, "revoke", "alice")
    wait_until(lambda: status(open_gateway, secret) == 401, SOON_S, "revoked")
    wait_until(lambda: open_gateway.stdout().count("\n") == 2, SOON_S, "both requests logged")
    first, second = map(json.loads, open_gateway.stdout().splitlines())
    assert (first["key"], second["key"], second["limit"]) == ("alice", "alice", "tokens_per_minute")
    said = open_gateway.stdout() + open_gateway.stderr() + open_gateway.metrics()
    assert secret not in said and secret[3:] not in said and "canary" not in said


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["show", "bob"], "keys: 'bob': no key of that name; `list` shows the names"),
        (["create", "a b"], "keys: 'a b': write a name of letters"),
        (["change", "alice"], "keys: 'alice': nothing to change; give one of --expires"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(store: Path, words: list[str], line: str) -> None:
    keys(store, "create", "alice")
    result = run("gateway.keys", "--store", str(store), *words)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(line) and result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--expires", "tomorrow"], "write a time such as 90s, 10m, 2h or 30d"),
        (["--expires", "2020-01-01"], "not in the future; to end a key now, use revoke"),
        (["--expires", "2027-02-30"], "no such day; write one such as"),
        (["--requests-per-minute", "0"], "write a whole number above 0, or none"),
        (["--weight", "nan"], "write a number from 0.01 to 100"),
        (["--models", "a,,b"], "write names separated by commas, or all"),
        (["--priority", "high"], "invalid choice"),
        (["--expires", "9999-12-31"], "too far away; write a day before the year 9999, or none"),
        (["--expires", "9999-01-01"], "too far away"),
        (["--models", "a\nb"], "names of at most 256 characters, all of which can be printed"),
        (["--models", "\udcff"], "all of which can be printed"),
        (["--models", "m," * 100 + "m"], "write at most 100 names"),
        (["--models", "m" * 257], "names of at most 256 characters"),
    ],
)
def test_a_bad_option_says_what_would_be_right(store: Path, words: list[str], line: str) -> None:
    result = run("gateway.keys", "--store", str(store), "create", "alice", *words)
    assert result.returncode == 2
    assert line in result.stderr and "Traceback" not in result.stderr
    assert not store.exists()


def test_a_store_with_times_beyond_the_calendar_can_still_be_listed_and_mended(store: Path) -> None:
    KeyStore(store).create("alice", Terms(expires=1e15))
    KeyStore(store).create("bob", Terms(expires=float("inf")))
    assert [key["expires"] for key in keys(store, "list")] == ["1e+15 s after 1970", "inf s after 1970"]
    assert keys(store, "change", "bob", "--expires", "9998-12-30")["expires"] == "9998-12-31T00:00:00Z"


@pytest.mark.parametrize("kind", ["folder", "pipe", "/dev/null", "text", "noise"])
def test_a_store_that_is_something_else_is_one_line_and_left_alone(tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind != "/dev/null":
        path.write_bytes(b"listen: {port: 1}\n" * 50 if kind == "text" else os.urandom(5000))
    before = path.read_bytes() if path.is_file() else None
    for words in (("gateway.keys", "--store", str(path), "create", "alice"), ("gateway.usage", "--store", str(path))):
        result = run(*words)
        assert (result.returncode, result.stdout, result.stderr.count("\n")) == (2, "", 1)
        assert f"{path}: " in result.stderr
    assert before is None or path.read_bytes() == before
    assert before is not None or "is not a regular file; give one, or a name that is free" in result.stderr


def test_only_create_makes_a_store(store: Path) -> None:
    result = run("gateway.keys", "--store", str(store), "list")
    assert result.returncode == 2
    assert result.stderr.startswith(f"keys: {store}: no such file")
    assert not store.exists()


def test_change_takes_limits_back(store: Path) -> None:
    limits = ("--requests-per-minute", "5", "--concurrent", "2", "--models", "tiny", "--expires", "2d")
    keys(store, "create", "alice", *limits)
    changed = keys(store, "change", "alice", "--requests-per-minute", "none", "--models", "all", "--expires", "none")
    assert (changed["requests_per_minute"], changed["models"], changed["expires"]) == (None, None, None)
    assert changed["concurrent"] == 2
    table = run("gateway.keys", "--store", str(store), "list").stdout.splitlines()
    assert table[0].startswith("NAME") and table[1].split()[:6] == ["alice", "active", "-", "-", "-", "2"]


def test_p37_a_store_that_is_not_usable_stops_the_start(tmp_path: Path, start_gateway: Callable[..., Gateway]) -> None:
    (tmp_path / "store").write_text("no database\n" * 100)
    with pytest.raises(AssertionError, match="the key store cannot be used"):
        start_gateway(["http://127.0.0.1:1"], store=str(tmp_path / "store"))


def test_p163_a_revoked_key_can_be_deleted_and_its_usage_stays_its_own(open_gateway: Gateway, store: Path) -> None:
    secret = keys(store, "create", "alice")["key"]
    wait_until(lambda: status(open_gateway, secret) == 200, SOON_S, "a new key known")
    assert httpx.post(f"{open_gateway.url}{URL}", json=chat(), headers=bearer(secret)).status_code == 200
    wait_until(lambda: [line["key"] for line in used(store)] == ["alice"], SOON_S, "written")
    refused = run("gateway.keys", "--store", str(store), "delete", "alice")
    assert (refused.returncode, refused.stderr) == (2, "keys: 'alice': is not revoked; revoke it first\n")
    keys(store, "revoke", "alice")
    wait_until(lambda: status(open_gateway, secret) == 401, SOON_S, "revoked")
    assert keys(store, "delete", "alice")["state"] == "revoked"
    wait_until(lambda: "not known here" in message(open_gateway, secret), SOON_S, "deleted")
    assert keys(store, "list") == []
    assert [line["key"] for line in used(store)] == ["alice"]
    for words in (("create", "alice"), ("delete", "alice")):
        refused = run("gateway.keys", "--store", str(store), *words)
        assert refused.returncode == 2
    assert "'alice': no key of that name" in refused.stderr
    made = run("gateway.keys", "--store", str(store), "create", "alice")
    assert "'alice': that name holds the usage of a deleted key; choose another name" in made.stderr


def test_p163_a_deleted_key_that_was_never_used_leaves_nothing_behind(store: Path) -> None:
    first = keys(store, "create", "alice")
    keys(store, "revoke", "alice")
    keys(store, "delete", "alice")
    again = keys(store, "create", "alice")
    assert again["key"] != first["key"]
    assert again["last_used"] is None and again["state"] == "active"
