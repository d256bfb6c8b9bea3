"""Label values that cannot be made up."""

from __future__ import annotations

from gateway.access_log import Visit
from gateway.call import Usage
from gateway.metrics import MAX_KEYS, OTHER, Metrics


def test_p35_there_are_only_so_many_keys() -> None:
    metrics = Metrics(["tiny"])
    for number in range(MAX_KEYS + 20):
        metrics.used(f"key-{number}", "tiny", Usage(1, 2, 0))
    assert metrics.key("key-0") == "key-0"
    assert metrics.key(f"key-{MAX_KEYS}") == OTHER
    assert metrics.key_tokens[OTHER, "completion"] == 40
    assert metrics.tokens["tiny", "completion"] == 2 * (MAX_KEYS + 20)


def test_p35_what_is_not_in_the_sets_is_other() -> None:
    metrics = Metrics(["tiny"])
    metrics.finished(Visit("id", "/made-up", model="made-up", outcome="made-up", limit="made-up"), 1.0)
    assert metrics.requests[OTHER, OTHER, OTHER] == 1
    assert metrics.limited[OTHER] == 1
