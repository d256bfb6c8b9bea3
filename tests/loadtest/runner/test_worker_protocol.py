"""Messages between the client's processes come through a pipe as they were, and half a message is the end."""

from __future__ import annotations

import io

from loadtest.runner.worker_protocol import Phase, Release, packed, receive
from tests.loadtest.answers import good


def test_messages_arrive_whole_and_in_order() -> None:
    record = good(0, 10, [(5, 1), (7, 2)])
    stream = io.BytesIO(packed(Phase.WARM) + packed(record) + packed(Release(7)))
    assert receive(stream) is Phase.WARM
    came = receive(stream)
    assert (came.send, came.outcome, came.answer.gaps) == (record.send, record.outcome, record.answer.gaps)
    assert (receive(stream), receive(stream)) == (Release(7), None)


def test_a_message_that_was_cut_is_the_end() -> None:
    whole = packed(Release(7))
    assert receive(io.BytesIO(whole[:-1])) is None and receive(io.BytesIO(whole[:3])) is None
