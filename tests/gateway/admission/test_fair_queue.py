"""The order of the queue, and that nothing is lost in it."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from gateway.admission.fair_queue import FairQueue, Waiting
from gateway.core.priority import PRIORITIES


def anybody(key: str) -> bool:  # noqa: ARG001
    return True


def waiting(key: str, since: float = 0, level: str = "normal", until: float = 1e9) -> Waiting[str]:
    return Waiting(key, PRIORITIES[level], since, until, f"{key}@{since}")


def pop(
    queue: FairQueue[str], now: float, rank: Callable[[str], float], may: Callable[[str], bool]
) -> Waiting[str] | None:
    """Take the first candidate out, as admission does when it fits."""
    found = queue.candidates(now, rank, may)
    if not found:
        return None
    assert queue.remove(found[0])
    return found[0]


def order(queue: FairQueue[str], now: float, rank: dict[str, float]) -> list[str]:
    found = []
    while (head := pop(queue, now, lambda key: rank.get(key, 0), anybody)) is not None:
        found.append(head.entry)
    return found


def test_within_a_key_first_come_is_first_served() -> None:
    queue: FairQueue[str] = FairQueue(10)
    for since in (3, 1, 2):
        queue.push(waiting("a", since))
    assert order(queue, 5, {}) == ["a@3", "a@1", "a@2"]  # in order of arrival, whatever the clock says


def test_between_keys_the_least_rank_then_the_oldest() -> None:
    queue: FairQueue[str] = FairQueue(10)
    for key, since in (("b", 1), ("a", 2), ("c", 0)):
        queue.push(waiting(key, since))
    assert order(queue, 5, {"c": 7}) == ["b@1", "a@2", "c@0"]


def test_a_wait_that_is_long_is_no_advantage_among_equals() -> None:
    queue: FairQueue[str] = FairQueue(10)
    queue.push(waiting("had-much", 0))
    queue.push(waiting("had-little", 1000))
    assert order(queue, 1001, {"had-much": 9})[0] == "had-little@1000"


def test_urgent_goes_first_until_the_other_has_aged() -> None:
    for now, first in ((19, "urgent@9"), (21, "batch@0")):
        queue: FairQueue[str] = FairQueue(10)
        queue.push(waiting("batch", 0, "batch"))
        queue.push(waiting("urgent", 9, "interactive"))
        assert order(queue, now, {"urgent": 1})[0] == first


def test_who_may_not_stays() -> None:
    queue: FairQueue[str] = FairQueue(10)
    queue.push(waiting("a"))
    assert pop(queue, 0, lambda key: 0, lambda key: key != "a") is None  # noqa: ARG005
    assert queue.keys() == {"a": 1}


def test_the_position_counts_turns_and_not_lengths() -> None:
    queue: FairQueue[str] = FairQueue(10)
    assert [queue.push(waiting("batch")) for _ in range(5)] == [0, 1, 2, 3, 4]
    assert queue.push(waiting("chat")) == 1  # one of the batch's comes first, not five
    assert queue.push(waiting("chat")) == 3


def test_room_is_made_at_the_cost_of_the_longest_line() -> None:
    queue: FairQueue[str] = FairQueue(10)
    for since in range(4):
        queue.push(waiting("batch", since))
    victim = queue.make_room_for("chat")
    assert victim is not None
    assert victim.entry == "batch@3"
    assert queue.make_room_for("batch") is None
    queue.push(waiting("chat"))
    queue.push(waiting("chat"))
    assert queue.make_room_for("chat") is None  # 3 against 2: it would only change places


def test_who_waits_with_less_priority_is_not_compared_with_the_others() -> None:
    queue: FairQueue[str] = FairQueue(10)
    for key, level in (("a", "normal"), ("b", "batch"), ("c", "normal"), ("c", "batch")):
        queue.push(waiting(key, level=level))
    assert queue.most_urgent() == ["a", "c"]
    assert FairQueue[str](10).most_urgent() == []


def test_the_late_are_taken_out() -> None:
    queue: FairQueue[str] = FairQueue(10)
    queue.push(waiting("a", until=5))
    queue.push(waiting("b", until=7))
    assert [each.key for each in queue.late(5, 9)] == ["a"]
    assert queue.keys() == {"b": 1}


def test_of_the_late_at_most_so_many_and_those_that_came_last() -> None:
    queue: FairQueue[str] = FairQueue(10)
    for since in (1, 2, 3):
        queue.push(waiting(f"key-{since}", since, until=5))
    assert [each.entry for each in queue.late(6, 0)] == []
    assert [each.entry for each in queue.late(6, -1)] == []
    assert [each.entry for each in queue.late(6, 2)] == ["key-3@3", "key-2@2"]
    assert queue.keys() == {"key-1": 1}


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["push", "pop", "drop", "room"]), st.sampled_from("abc"), st.sampled_from(list(PRIORITIES))
        ),
        max_size=60,
    )
)
def test_nothing_is_lost_and_nothing_comes_twice(steps: list[tuple[str, str, str]]) -> None:
    queue: FairQueue[str] = FairQueue(10)
    inside: list[Waiting[str]] = []
    for now, (step, key, level) in enumerate(steps):
        if step == "push":
            inside.append(waiting(key, now, level))
            queue.push(inside[-1])
        elif step == "pop":
            out = pop(queue, now, lambda name: ord(name), anybody)
            assert (out is None) == (not inside)
        elif step == "room":
            out = queue.make_room_for(key)
        else:
            out = inside[0] if inside else None
            assert queue.remove(out) if out else True
        if step != "push" and out is not None:
            inside.remove(out)
            assert not queue.remove(out)
        assert len(queue) == len(inside) == sum(queue.keys().values())
        assert set(queue) == set(inside)
