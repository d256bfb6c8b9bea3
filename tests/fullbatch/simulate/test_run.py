"""The simulated clock around the scheduler: users, arrivals, replicas, the gateway, the API server."""

from __future__ import annotations

import dataclasses

import pytest

from fullbatch.simulate import load
from fullbatch.simulate.request import LoadRequest
from fullbatch.simulate.run import CannotEnd, Gate, simulate
from tests.fullbatch.simulate.engines import EVEN, engine


def test_a_user_asks_again_when_the_answer_is_whole() -> None:
    found = simulate(engine(), load.closed(users=1, each=3, prompt=8, output=5))
    assert [round(answer.sent, 6) for answer in found.answers] == [0, 0.05, 0.1]
    assert found.seconds == pytest.approx(0.15)


def test_requests_come_when_the_trace_says() -> None:
    found = simulate(engine(), load.SimulatedLoad(arrivals=((0.0, LoadRequest(8, 2)), (5.0, LoadRequest(8, 2)))))
    assert [answer.tokens_at[-1] for answer in found.answers] == [pytest.approx(0.02), pytest.approx(5.02)]


def test_replicas_share_the_requests() -> None:
    asked = load.closed(users=8, each=1, prompt=64, output=2)
    alone, two = simulate(engine(), asked), simulate(engine(), asked, replicas=2)
    assert max(answer.ttft for answer in alone.answers) == pytest.approx(0.09)
    assert max(answer.ttft for answer in two.answers) == pytest.approx(0.05)


def test_the_gateway_lets_in_what_fits_to_its_end() -> None:
    small, asked = engine(tokens=512, blocks=8), load.closed(users=3, each=1, prompt=32, output=20)
    direct, behind = simulate(small, asked), simulate(small, asked, gate=Gate(added_s=0))
    assert direct.preemptions > 0 and behind.preemptions == 0
    assert [answer.ttft for answer in behind.answers] == [pytest.approx(one) for one in (0.01, 0.02, 0.22)]
    later = simulate(small, asked, gate=Gate(added_s=0.005))
    assert later.answers[0].ttft == pytest.approx(0.015)


def test_the_api_server_takes_one_after_the_other_and_passes_tokens_on_after() -> None:
    slow = engine(times=dataclasses.replace(EVEN, admit_s=0.1, front_s=0.02))
    found = simulate(slow, load.closed(users=3, each=1, prompt=8, output=1))
    # The first is ready after 0.13 s, while the server still works on the others: it passes it on at 0.3.
    assert [answer.ttft for answer in found.answers] == [pytest.approx(0.3)] * 2 + [pytest.approx(0.33)]


def test_a_request_that_never_fits_is_said_before() -> None:
    with pytest.raises(CannotEnd, match="a request of 1,700 tokens never fits the KV cache of 1,600"):
        simulate(engine(blocks=100), load.closed(users=1, each=1, prompt=1600, output=100))
