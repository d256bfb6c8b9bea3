"""Places and their return."""

from __future__ import annotations

import pytest

from gateway.admission import Admission
from gateway.errors import Overloaded


def test_p9_a_place_is_given_back_once() -> None:
    admission = Admission(1)
    slot = admission.slot()
    with pytest.raises(Overloaded):
        admission.slot()
    slot.release()
    slot.release()
    assert admission.in_flight == 0
    with pytest.raises(ZeroDivisionError), admission.slot():
        raise ZeroDivisionError
    assert admission.in_flight == 0
