"""Changes of keys from the page: what is asked for, by whom, and that nothing else changes any."""

from __future__ import annotations

import dataclasses
from typing import Any

import httpx
import orjson
import pytest

from gateway.core.errors import BadRequest
from gateway.keys.store import KeyStore
from gateway.keys.stored import Terms
from gateway.pages.key_changes import READERS, read
from tests.gateway.harness import KEY, bearer, error_of, wait_until
from tests.gateway.pages.conftest import Served


def test_every_term_of_a_key_can_be_given() -> None:
    assert set(READERS) == {field.name for field in dataclasses.fields(Terms)}


def test_a_change_is_read_as_on_the_command_line() -> None:
    terms = {"requests_per_minute": "60", "tokens_per_minute": "none", "models": "a,b", "structured": "no"}
    change = read(orjson.dumps({"do": "create", "name": "alice", "terms": terms}))
    assert change.terms == {
        "requests_per_minute": 60, "tokens_per_minute": None, "models": ("a", "b"), "structured": False,
    }  # fmt: skip
    assert read(b'{"do": "rotate", "name": "a", "grace": "1h"}').grace_s == 3600


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "'do' is missing"),
        ({"do": "delete", "name": "a"}, "'do' must be one of create, change, rotate, revoke"),
        ({"do": "create", "name": 3}, "'name' is missing or not a text"),
        ({"do": "create", "name": "a", "terms": []}, "'terms' must be an object"),
        ({"do": "create", "name": "a", "terms": {"operator": "yes"}}, "no term 'operator'"),
        ({"do": "create", "name": "a", "terms": {"concurrent": 4}}, "'concurrent' must be a text"),
        ({"do": "create", "name": "a", "terms": {"concurrent": "9" * 5000}}, "'concurrent' must be a text"),
        ({"do": "create", "name": "a", "terms": {"concurrent": "four"}}, "concurrent: 'four': write a whole number"),
        ({"do": "create", "name": "a", "terms": {"priority": "root"}}, "priority: 'root': write interactive"),
        ({"do": "change", "name": "a", "terms": {}}, "nothing to change"),
        ({"do": "revoke", "name": "a", "terms": {"concurrent": "4"}}, "'revoke' takes no terms"),
        ({"do": "rotate", "name": "a", "grace": "soon"}, "grace: 'soon': write a time"),
    ],
)
def test_what_is_wrong_is_told_with_what_would_be_right(body: dict[str, Any], said: str) -> None:
    with pytest.raises(BadRequest) as refused:
        read(orjson.dumps(body))
    assert refused.value.message.startswith(said)


def asked(served: Served, key: str, **body: object) -> httpx.Response:
    return httpx.post(f"{served.gateway.url}/ui/v1/keys", json=body, headers=bearer(key))


def test_p197_an_admin_makes_changes_rotates_and_revokes_a_key(served: Served) -> None:
    made = asked(served, served.admin, do="create", name="eve", terms={"requests_per_minute": "5"})
    assert made.status_code == 200 and made.headers["cache-control"] == "no-store"
    secret = made.json()["secret"]
    assert made.json()["key"]["requests_per_minute"] == 5
    wait_until(lambda: served.get("/v1/models", secret).status_code == 200, 5, "the key is let in")
    changed = asked(served, served.admin, do="change", name="eve", terms={"concurrent": "2"}).json()
    assert (changed["key"]["requests_per_minute"], changed["key"]["concurrent"]) == (5, 2) and "secret" not in changed
    rotated = asked(served, served.admin, do="rotate", name="eve", grace="0").json()["secret"]
    wait_until(lambda: served.get("/v1/models", rotated).status_code == 200, 5, "the new secret is let in")
    assert served.get("/v1/models", secret).status_code == 401
    assert asked(served, served.admin, do="revoke", name="eve").json()["key"]["state"] == "revoked"
    wait_until(lambda: served.get("/v1/models", rotated).status_code == 401, 5, "the key is out")
    log = served.gateway.stderr()
    for done in ("made", "changed", "rotated", "revoked"):
        assert f"key 'eve': {done} by 'boss' at /admin" in log
    assert secret not in log and rotated not in log


def test_p197_no_other_key_changes_any_and_what_cannot_be_done_is_told(served: Served) -> None:
    store = KeyStore(served.store)
    before = [(key.name, key.terms) for key in store.keys()]
    for key in (served.operator, served.alice, KEY):
        refused = asked(served, key, do="create", name="mallory")
        assert (refused.status_code, error_of(refused)["code"]) == (403, "admins_only")
    assert httpx.post(f"{served.gateway.url}/ui/v1/keys", json={}).status_code == 401
    assert served.get("/ui/v1/keys", served.admin).status_code == 405
    for body, said in (
        ({"do": "create", "name": "alice"}, "there is a key of that name"),
        ({"do": "create", "name": "<script>"}, "write a name of letters"),
        ({"do": "revoke", "name": "nobody"}, "no key of that name"),
    ):
        refused = asked(served, served.admin, **body)
        assert refused.status_code == 400 and said in error_of(refused)["message"]
    assert [(key.name, key.terms) for key in store.keys()] == before
    store.close()
