from __future__ import annotations

from gateway.residency.switch_budget import SwitchBudget


def test_an_hours_window_slides() -> None:
    budget = SwitchBudget(2)
    assert budget.may("k", 0.0)
    budget.caused("k", 0.0)
    budget.caused("k", 600.0)
    assert budget.free_in("k", 600.0) == 3000.0
    assert budget.may("other", 600.0)
    assert not budget.may("k", 3599.9)
    assert budget.may("k", 3600.0)
    assert budget.may("k", 1e6)
