"""Label values that cannot be made up."""

from __future__ import annotations

from gateway.core.call import Principal, Usage
from gateway.core.record import RequestRecord
from gateway.core.trace import TraceContext
from gateway.telemetry.metrics import MAX_KEYS, OTHER, Metrics


def used(key: str, model: str, usage: Usage | None) -> RequestRecord:
    record = RequestRecord("id", 0.0)
    record.principal, record.model, record.usage, record.endpoint = Principal(key), model, usage, "/v1/completions"
    return record


def test_p35_there_are_only_so_many_keys() -> None:
    metrics = Metrics(["tiny"])
    for number in range(MAX_KEYS + 20):
        metrics.finished(used(f"key-{number}", "tiny", Usage(1, 2, 0)), 1.0)
    assert metrics.key("key-0") == "key-0"
    assert metrics.key(f"key-{MAX_KEYS}") == OTHER
    assert metrics.key_tokens[OTHER, "completion"] == 40
    assert metrics.tokens["tiny", "completion"] == 2 * (MAX_KEYS + 20)


def test_p35_what_is_not_in_the_sets_is_other() -> None:
    metrics = Metrics(["tiny"])
    record = RequestRecord("id", 0.0)
    record.endpoint, record.model, record.outcome, record.limit = "/made-up", "made-up", "made-up", "made-up"
    metrics.finished(record, 1.0)
    assert metrics.requests[OTHER, OTHER, OTHER] == 1
    assert metrics.limited[OTHER] == 1


def test_p162_labels_of_keys_that_are_gone_are_given_out_again_once_all_are_taken() -> None:
    metrics = Metrics(["tiny"])
    for number in range(MAX_KEYS - 1):
        metrics.finished(used(f"old-{number}", "tiny", Usage(1, 2, 0)), 1.0)
    metrics.free_labels({"alice"})
    assert metrics.key_tokens["old-0", "completion"] == 2  # there is room: what was counted stays
    metrics.finished(used("old-x", "tiny", None), 1.0)
    assert metrics.key("alice") == OTHER
    metrics.free_labels({"alice", "old-1"})
    assert metrics.key("alice") == "alice"
    assert {key for key, _ in metrics.key_tokens} == {"old-1"}
    assert {key for key, _ in metrics.key_requests} == {"old-1"}


def test_models_known_later_start_like_those_known_at_the_start() -> None:
    at_once, later = Metrics(["a", "b"]), Metrics([])
    later.know(["b"])
    later.know(["a", "b"])
    assert at_once.models == later.models == {"a", "b"}
    assert at_once.requests == later.requests
    assert at_once.tokens == later.tokens
    assert set(at_once.wait) == set(later.wait) == set(later.per_token) == {"a", "b"}


def test_what_was_counted_stays_when_models_are_told_again() -> None:
    metrics = Metrics(["a"])
    metrics.finished(used("key", "a", Usage(1, 2, 0)), 1.0)
    metrics.know(["a", "b"])
    assert metrics.tokens["a", "completion"] == 2


def test_p323_the_last_traced_request_of_a_bucket_is_its_exemplar() -> None:
    metrics = Metrics(["tiny"])
    for number, (sampled, ttft) in enumerate([(True, 0.02), (True, 0.021), (False, 0.022), (True, None), (True, 7.0)]):
        record = used("key", "tiny", None)
        record.trace, record.ttft = TraceContext(f"{number:032x}".encode(), b"", sampled, b""), ttft
        metrics.traced(record, 1000.0 + number)
    metrics.traced(used("key", "tiny", None), 1.0)
    ((where, found),) = metrics.exemplars.items()
    assert where == ("tiny", "/v1/completions")
    assert list(found.values()) == [(f"{1:032x}", 0.021, 1001.0), (f"{4:032x}", 7.0, 1004.0)]
