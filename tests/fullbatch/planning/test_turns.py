from __future__ import annotations

from fullbatch.planning import turns
from fullbatch.planning.turns import Sleeper

THREE = [Sleeper("large", 16), Sleeper("small", 2), Sleeper("middle", 8)]


def test_as_many_sleep_as_main_memory_holds() -> None:
    assert turns.asleep(THREE, None) == {"large", "middle", "small"}
    assert turns.asleep(THREE, 30) == {"large", "middle", "small"}
    assert turns.asleep(THREE, 29) == {"small", "middle"}
    assert turns.asleep(THREE, 30, taken_gib=4) == {"small", "middle"}
    assert turns.asleep(THREE, 4) == frozenset()


def test_waking_is_much_faster_than_starting() -> None:
    turn = turns.turn((0,), sleep=True, cost=7.6, weights_gib=15)
    assert (turn.card, turn.seconds, turn.cold_guess_s) == ("card0", 1.8, 52)
    stopped = turns.turn((0, 1), sleep=False, cost=7.6, weights_gib=15)
    assert (stopped.card, stopped.seconds) == ("cards0-1", 52)
    assert turns.turn((), sleep=False, cost=1, weights_gib=1).card == "cpu"
