"""The choice of an engine."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway import routing


@given(loads=st.lists(st.integers(0, 5), min_size=1, max_size=8), turn=st.integers(0, 1000))
def test_p11_the_least_loaded_is_chosen(loads: list[int], turn: int) -> None:
    assert loads[routing.choose(loads, turn)] == min(loads)


def test_p11_equals_take_turns() -> None:
    assert {routing.choose([1, 0, 0, 0], turn) for turn in range(3)} == {1, 2, 3}
