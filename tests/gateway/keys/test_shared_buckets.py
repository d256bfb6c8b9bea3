"""The bound of what several gateways let through together."""

from __future__ import annotations

import pytest

from gateway.keys.shared_buckets import LEASE_S, SharedBuckets

PER_MINUTE = 60


class Several:
    """Gateways with one bucket, that hear of each other in turns, each once in `LEASE_S`."""

    def __init__(self, count: int) -> None:
        self.gateways = [SharedBuckets(count) for _ in range(count)]
        self.seen = [[0.0] * count for _ in range(count)]
        self.told = [0.0] * count
        self.let_in = 0
        for one in self.gateways:
            one.heard(count, {}, {}, {}, 0.0)

    def exchange(self, index: int, now: float) -> None:
        self.told[index] = self.gateways[index].taken.get("b", 0.0)
        taken = 0.0
        for other, seconds in enumerate(self.told):
            if other != index:
                taken += seconds - self.seen[index][other]
                self.seen[index][other] = seconds
        self.gateways[index].heard(len(self.gateways), {"b": taken}, {}, {}, now)

    def flood(self, seconds: float) -> None:
        """All ask as often as they can."""
        steps = 4 * len(self.gateways)
        for step in range(int(seconds / LEASE_S * steps)):
            now = step * LEASE_S / steps
            if step % 4 == 0:
                self.exchange(step // 4 % len(self.gateways), now)
            for one in self.gateways:
                self.let_in += sum(one.take("b", 1, PER_MINUTE, now) == 0.0 for _ in range(20))


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_p240_the_bound_of_a_burst_and_of_a_minute(count: int) -> None:
    """A full bucket lets a minute's worth through at once. Several let at most half of one more through."""
    burst = Several(count)
    burst.flood(2.0)
    assert PER_MINUTE <= burst.let_in <= 1.5 * PER_MINUTE + 2 + count
    longer = Several(count)
    longer.flood(120.0)
    assert longer.let_in == pytest.approx(PER_MINUTE + 120, rel=0.02, abs=count)


@pytest.mark.parametrize("count", [2, 5])
def test_p240_alone_each_has_its_part_and_together_they_have_the_limit(count: int) -> None:
    several = [SharedBuckets(count) for _ in range(count)]
    for one in several:
        one.alone()
    let_in = sum(one.take("b", 1, PER_MINUTE, now / 10) == 0.0 for now in range(600) for one in several)
    assert PER_MINUTE * 1.8 <= let_in <= 2 * PER_MINUTE  # a bucket, and a minute of refill


def test_p240_one_request_is_let_through_however_many_gateways_there_are() -> None:
    several = Several(8)
    assert [one.take("b", 1, 1, 0.0) for one in several.gateways].count(0.0) == 8
    assert several.gateways[0].take("b", 1, 1, 0.1) > 0


def test_p240_running_requests_count_wherever_they_run() -> None:
    one = SharedBuckets(2)
    one.heard(2, {}, {}, {"k": 3}, 0.0)
    assert not one.full("k", 5)
    one.enter("k")
    assert one.full("k", 5)  # the other half of what is left may be taken elsewhere, until the next exchange
    one.heard(2, {}, {}, {"k": 3}, 0.2)
    assert not one.full("k", 5)
    one.enter("k")
    assert one.full("k", 5)
    one.alone()
    assert one.full("k", 4)
    assert not one.full("k", 6)
