"""How urgent a request is, by name."""

from __future__ import annotations

from gateway.core.call import NOBODY
from gateway.core.priority import PRIORITIES


def test_interactive_comes_before_normal_and_that_before_batch() -> None:
    assert sorted(PRIORITIES, key=PRIORITIES.__getitem__) == ["interactive", "normal", "batch"]


def test_a_key_has_one_of_them_unless_told_otherwise() -> None:
    assert PRIORITIES[NOBODY.priority] == 1
