"""What a user of a bench makes of bytes, and that it asks again."""

from __future__ import annotations

import asyncio
import time

from bench.gateway.closed_loop import Loop, Seen

HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
TOKEN = b'30\r\ndata: {"choices":[{"index":0,"text":"word "}]}\n\n\r\n'
END = b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"


class Wire(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []
        self.cut = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent.append(bytes(data))

    def abort(self) -> None:
        self.cut = True


def begun(seconds: float = 60) -> tuple[Loop, Wire, Seen]:
    now = time.monotonic()
    seen, wire = Seen(now, now + seconds), Wire()
    loop = Loop([b"one", b"two"], "key", seen)
    loop.connection_made(wire)
    loop.ask()
    return loop, wire, seen


def test_tokens_and_answers_are_counted_and_the_next_is_asked() -> None:
    loop, wire, seen = begun()
    loop.data_received(HEAD + TOKEN)
    loop.data_received(TOKEN + TOKEN + END[:7])
    assert (seen.tokens, seen.answers, len(seen.first)) == (3, 0, 1)
    loop.data_received(END[7:])
    assert (seen.answers, len(wire.sent)) == (1, 2)
    assert wire.sent[0].endswith(b"one") and wire.sent[1].endswith(b"two")
    loop.data_received(HEAD + TOKEN)
    assert len(seen.first) == 2


def test_what_comes_outside_of_the_time_does_not_count() -> None:
    loop, _, seen = begun(seconds=-1)
    loop.data_received(HEAD + TOKEN + END)
    assert (seen.tokens, seen.answers, seen.first) == (0, 0, [])


def test_a_refusal_an_error_event_and_a_lost_connection_have_failed() -> None:
    for bad in (b"HTTP/1.1 429 Too Many Requests\r\n\r\n", b'10\r\ndata: {"error": {}}\n\n'):
        loop, wire, seen = begun()
        loop.data_received(bad)
        assert (seen.failed, wire.cut) == (1, True)
    loop, _, seen = begun()
    loop.connection_lost(None)
    assert seen.failed == 1
    loop, _, seen = begun()
    loop.close()
    loop.connection_lost(None)
    assert seen.failed == 0
