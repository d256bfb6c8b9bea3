from __future__ import annotations

import pytest
from pydantic import ValidationError

from fullbatch.planning.residency import Residency


def test_what_is_not_said_is_left_to_the_gateway() -> None:
    assert Residency().settings() == {}
    assert Residency(patience_s=5.0, switches_per_hour=3).settings() == {"patience_s": 5.0, "switches_per_hour": 3}


def test_what_is_no_time_is_refused() -> None:
    with pytest.raises(ValidationError):
        Residency(patience_s=0.0)
