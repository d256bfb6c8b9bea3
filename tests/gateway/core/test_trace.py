"""W3C trace context: what is passed on, what is made anew, and what is never believed."""

from __future__ import annotations

import re

import pytest

from gateway.core import trace

TRACE, SPAN = b"4bf92f3577b34da6a3ce929d0e0e4736", b"00f067aa0ba902b7"
GOOD = b"00-%b-%b-01" % (TRACE, SPAN)
FORM = re.compile(rb"traceparent: 00-([0-9a-f]{32})-([0-9a-f]{16})-(0[01])\r\n")


def test_a_trace_that_a_client_began_goes_on() -> None:
    begun = trace.begin(GOOD, b"congo=t61rcWkgMzE , rojo=00f067aa0ba902b7", sampled=False)
    assert (begun.trace_id, begun.parent, begun.sampled) == (TRACE, SPAN, True)
    match = FORM.match(begun.headers())
    assert match is not None and match[1] == TRACE and match[2] == begun.dispatch != SPAN and match[3] == b"01"
    assert begun.headers().endswith(b"tracestate: congo=t61rcWkgMzE,rojo=00f067aa0ba902b7\r\n")
    assert len({begun.span, begun.dispatch, SPAN}) == 3


def test_a_client_that_keeps_none_of_it_is_heeded() -> None:
    begun = trace.begin(GOOD[:-2] + b"00", b"", sampled=True)
    assert not begun.sampled
    assert begun.headers().endswith(b"-00\r\n")


def test_one_begins_here_where_none_came() -> None:
    first, second = (trace.begin(b"", b"vendor=1", sampled=True) for _ in range(2))
    assert first.parent == b"" and first.trace_id != second.trace_id
    assert first.state == b"", "a state without its trace belongs to nothing"
    assert not trace.begin(b"", b"", sampled=False).sampled


BAD = [
    b"00-%b-%b" % (TRACE, SPAN),
    b"00-%b-%b-01-more" % (TRACE, SPAN),  # not of version 00
    b"ff-%b-%b-01" % (TRACE, SPAN),
    b"00-%b-%b-01" % (b"0" * 32, SPAN),
    b"00-%b-%b-01" % (TRACE, b"0" * 16),
    GOOD.upper(),
    GOOD + b"\r\nx-evil: 1",
    b"01-%b-%b-01-" % (TRACE, SPAN) + b"x" * 600,
    "00-é".encode(),
]


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_header_is_replaced_and_never_passed_on(bad: bytes) -> None:
    begun = trace.begin(bad, b"", sampled=True)
    assert begun.parent == b"" and begun.trace_id != TRACE
    assert FORM.fullmatch(begun.headers())
    assert trace.passed_on(bad, b"vendor=1") == b""


def test_a_later_version_is_read_as_this_one() -> None:
    assert trace.passed_on(b"cc-%b-%b-03-later" % (TRACE, SPAN), b"") == b"traceparent: %b\r\n" % GOOD


@pytest.mark.parametrize(
    "state",
    [b"a=" + b"x" * 600, b",".join(b"k%d=v" % n for n in range(40)), b"A=1", b"a", b"a=1\r\nx: y", b"a=\xff", b"=1"],
)
def test_a_state_that_is_too_long_or_not_as_it_has_to_be_is_dropped_alone(state: bytes) -> None:
    assert trace.passed_on(GOOD, state) == b"traceparent: %b\r\n" % GOOD


def test_without_a_part_in_it_the_clients_own_span_stays_the_parent() -> None:
    assert trace.passed_on(GOOD, b"a=1") == b"traceparent: %b\r\ntracestate: a=1\r\n" % GOOD
