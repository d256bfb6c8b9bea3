from __future__ import annotations

from gateway.residency.load_times import LoadTimes


def test_the_plans_guess_until_it_has_been_seen_then_the_median_of_the_last_five() -> None:
    times = LoadTimes(2.0, 60.0)
    assert (times.seconds("wake"), times.seconds("cold"), times.learned("cold")) == (2.0, 60.0, False)
    for seconds in (500.0, 40.0, 41.0, 42.0, 43.0):
        times.record("cold", seconds)
    assert (times.seconds("cold"), times.learned("cold")) == (42.0, True)  # one cold disk does not count for long
    for _ in range(5):
        times.record("cold", 10.0)
    assert times.seconds("cold") == 10.0
    assert (times.seconds("wake"), times.learned("wake")) == (2.0, False)
