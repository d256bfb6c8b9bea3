"""What is handed to the thread that sends spans."""

from __future__ import annotations

import pytest

from gateway.core.call import Usage
from gateway.core.record import RequestRecord
from gateway.telemetry import traces
from gateway.telemetry.traces import Traces

PARENT = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_off_it_only_passes_on_what_a_client_traces() -> None:
    record, off = RequestRecord("req-1", 1.0), Traces(False, 0.0)
    off.begin(record, {b"traceparent": PARENT})
    assert record.trace is None and record.trace_headers == b"traceparent: %b\r\n" % PARENT
    off.add(record, 200, 2.0)
    assert off.waiting.empty()


def test_one_that_has_ended_is_handed_over_with_what_it_was() -> None:
    record, on = RequestRecord("req-1", 1.0), Traces(True, 1.0)
    on.begin(record, {})
    record.usage = Usage(3, 4, 2)
    record.outcome = "ok"
    on.add(record, 200, 2.0)
    one = on.waiting.get_nowait()
    assert one is not None and record.trace is one.trace
    assert (one.prompt_tokens, one.output_tokens, one.cached_tokens, one.ended, one.outcome) == (3, 4, 2, 2.0, "ok")


def test_of_none_that_is_kept_nothing_is_handed_over() -> None:
    record, on = RequestRecord("req-1", 1.0), Traces(True, 0.0)
    on.begin(record, {})
    on.add(record, 200, 2.0)
    assert on.waiting.empty()
    assert record.trace_headers.endswith(b"-00\r\n"), "nor does the engine keep it"


def test_nothing_gathers_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "MAX_WAITING", 3)
    on = Traces(True, 1.0)
    for number in range(5):
        record = RequestRecord(f"req-{number}", 1.0)
        on.begin(record, {})
        on.add(record, 200, 2.0)
    assert (on.waiting.qsize(), on.lost) == (3, 2)
