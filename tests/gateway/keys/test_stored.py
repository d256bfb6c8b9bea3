"""What a key is, whatever kind of store has it."""

from __future__ import annotations

import hashlib

import pytest

from gateway.keys.stored import IDENTITY, NAME, TERMS, Terms, digest_of, of_row


def test_terms_survive_a_row() -> None:
    terms = Terms(12.5, ("a", "b"), 1, 2, 3, 0.5, "batch", 7, 8, False, True)
    assert len(terms.row()) == len(TERMS)
    assert Terms.of_row(terms.row()) == terms
    assert Terms.of_row(Terms().row()) == Terms()


def test_a_row_is_a_key_and_its_state_goes_by_the_clock() -> None:
    identity = dict.fromkeys(IDENTITY) | {"name": "alice", "digest": digest_of("secret"), "created": 1.0}
    key = of_row((*identity.values(), 5.0, *Terms(expires=100.0).row()))
    assert (key.name, key.last_used, key.digest) == ("alice", 5.0, hashlib.sha256(b"secret").digest())
    assert [key.state(99), key.state(100)] == ["active", "expired"]
    assert key.principal().name == "alice"


@pytest.mark.parametrize(
    ("name", "good"), [("a", True), ("a.b-c_1", True), ("-a", False), ("", False), ("a" * 65, False)]
)
def test_names(name: str, good: bool) -> None:
    assert bool(NAME.fullmatch(name)) is good
