from __future__ import annotations

import pytest

from fullbatch.planning.places import CardPlace, Share


def test_one_that_takes_turns_counts_while_it_is_its_turn() -> None:
    shares = (Share("a", 4, 1, 2), Share("b", 6, 1, 1, turns=True), Share("c", 5, 1, 1, turns=True))
    place = CardPlace("card 0", 24, shares, kept_gib=1.2)
    assert place.turn_gib == 8
    assert place.free_gib == pytest.approx(24 - 7 - 8 - 1.2)
