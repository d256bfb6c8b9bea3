"""What a record says before anybody has filled it in."""

from __future__ import annotations

from gateway.core.call import NO_CALL, NOBODY
from gateway.core.record import RequestRecord


def test_a_new_record_says_of_nothing_that_it_happened() -> None:
    record = RequestRecord("req-1", 12.5)
    assert (record.id, record.received) == ("req-1", 12.5)
    assert (record.principal, record.call, record.endpoint) == (NOBODY, NO_CALL, "other")
    assert record.outcome == "internal"  # what nobody has ended was ended by a defect
    assert [record.usage, record.waited, record.ttft, record.pace] == [None] * 4
    assert not any((record.model, record.engine, record.address, record.stage, record.limit, record.error))
    assert (record.charged, record.position) == (0.0, 0)
