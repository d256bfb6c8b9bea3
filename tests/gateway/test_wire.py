"""The fields that are read, and whole events."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway import wire


@given(
    events=st.lists(st.binary(max_size=20).filter(lambda b: b"\n" not in b), max_size=5), half=st.binary(max_size=20)
)
def test_p17_only_whole_events_are_counted_as_whole(events: list[bytes], half: bytes) -> None:
    half = half.replace(b"\n", b"")
    whole = b"".join(b"data: " + event + b"\n\n" for event in events)
    assert wire.whole_events(whole + half) == len(whole)


def test_p1_model_and_stream_are_read_and_the_last_of_two_counts() -> None:
    assert wire.read(b'{"model": "a", "model": "b", "stream": null}') == wire.Ask("b", False)
    assert wire.read(bytearray(b'{"model": "a", "stream": true}')) == wire.Ask("a", True)
