"""The keys that the two loads need."""

from __future__ import annotations

from bench.gateway import pair_load


def test_each_round_has_a_limited_key_whose_bucket_is_full() -> None:
    terms = pair_load.terms(3)
    assert [name for name, words in terms.items() if words] == ["limited-0", "limited-1", "limited-2"]
    assert set(pair_load.USERS) <= set(terms)
    assert sum(count for _, count in pair_load.USERS.values()) > 3 * pair_load.SEATS
