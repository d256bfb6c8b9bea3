"""Keys."""

from __future__ import annotations

import hashlib
import time

import pytest

from gateway.core.call import Principal
from gateway.core.errors import Unauthorized
from gateway.keys.auth import Auth, Known


def test_p4_keys_are_told_apart() -> None:
    auth = Auth([b"first-key-000", b"second-key-00"])
    first = auth.principal(b"Bearer first-key-000", None)
    second = auth.principal(None, b"second-key-00")
    assert first != second
    assert "key" not in first.name
    for header in (b"Bearer first-key-00", b"Bearer first-key-0000", b"Bearer  ", b"first-key-000"):
        with pytest.raises(Unauthorized):
            auth.principal(header, None)


def test_keys_of_file_and_store_work_side_by_side_and_change_apart() -> None:
    auth = Auth([b"file-key-0000"])
    stored = Known(hashlib.sha256(b"store-key-0000").digest(), Principal("alice"))
    auth.use_store([stored])
    assert auth.principal(None, b"store-key-0000").name == "alice"
    assert (auth.count, len(auth.active())) == (2, 2)
    auth.use_file([b"file-key-0001"])
    assert auth.principal(None, b"file-key-0001")
    assert auth.principal(None, b"store-key-0000").name == "alice"
    auth.use_store([])
    for gone in (b"store-key-0000", b"file-key-0000"):
        with pytest.raises(Unauthorized, match="not known here"):
            auth.principal(None, gone)


def test_p73_what_has_ended_is_told_by_name_and_not_counted() -> None:
    auth = Auth()
    digest = hashlib.sha256(b"store-key-0000").digest()
    auth.use_store([Known(digest, Principal("alice"), time.time() - 1)])
    with pytest.raises(Unauthorized, match="'alice'. has expired"):
        auth.principal(None, b"store-key-0000")
    assert auth.count == 0 and auth.used == set()
    auth.use_store([Known(digest, Principal("alice"), time.time() + 60)])
    assert auth.principal(None, b"store-key-0000").name == "alice"
    assert auth.count == 1 and auth.used == {"alice"}


def test_p162_only_who_has_a_valid_key_is_active() -> None:
    auth, now = Auth([b"file-key-0000"]), time.time()
    alice = Principal("alice", expires=now + 60)
    auth.use_store(
        [
            Known(b"1" * 32, alice, now + 60),
            Known(b"2" * 32, alice, now - 1, "was replaced by a newer one"),
            Known(b"3" * 32, Principal("bob", expires=now + 60), now - 1, "was revoked"),
            Known(b"4" * 32, Principal("carol", expires=now - 1), now - 1),
        ]
    )
    assert set(auth.active()) == {"alice", hashlib.sha256(b"file-key-0000").hexdigest()[:8]}


def test_digests_that_begin_alike_are_told_apart() -> None:
    auth = Auth()
    digest = hashlib.sha256(b"store-key-0000").digest()
    near = digest[:31] + bytes([digest[31] ^ 1])
    auth.use_store([Known(near, Principal("near")), Known(digest, Principal("alice"))])
    assert auth.principal(None, b"store-key-0000").name == "alice"
    auth.use_store([Known(near, Principal("near"))])
    with pytest.raises(Unauthorized):
        auth.principal(None, b"store-key-0000")


def test_p171_a_key_is_called_by_the_name_after_it() -> None:
    auth = Auth([b"file-key-0000 first", b"file-key-0001"])
    assert auth.principal(None, b"file-key-0000").name == "first"
    assert auth.principal(None, b"file-key-0001").name == hashlib.sha256(b"file-key-0001").hexdigest()[:8]
    with pytest.raises(Unauthorized):
        auth.principal(None, b"file-key-0000 first")


def test_p171_a_name_that_the_store_has_as_well_is_the_stores() -> None:
    """Two keys of one name would share what each has had."""
    auth = Auth([b"file-key-0000 first"])
    auth.use_store([Known(hashlib.sha256(b"store-key-0000").digest(), Principal("first"))])
    assert auth.principal(None, b"store-key-0000").name == "first"
    assert auth.principal(None, b"file-key-0000").name == hashlib.sha256(b"file-key-0000").hexdigest()[:8]
    assert auth.count == 2
    auth.use_store([])
    assert auth.principal(None, b"file-key-0000").name == "first"
