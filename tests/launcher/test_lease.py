from __future__ import annotations

import pytest

from launcher import lease
from launcher.lease import Lease


def test_one_holds_it_while_it_asks_and_another_has_it_after(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("launcher.lease.time.monotonic", lambda: now[0])
    held = Lease()
    assert held.take("a")
    assert not held.take("b")
    now[0] += lease.LEASE_S - 0.1
    held.see("a")
    held.see("b")  # that the other asks changes nothing
    now[0] += lease.LEASE_S - 0.1
    assert not held.take("b")
    assert held.take("a")
    assert held.of_another("b") and not held.of_another("a") and not held.of_another("")
    now[0] += lease.LEASE_S
    assert not held.of_another("b")
    assert held.take("b")
    assert not held.take("a")


def test_who_gives_no_name_may_and_takes_nothing() -> None:
    held = Lease()
    assert held.take("")
    assert held.take("a")
    assert held.take("")
    assert held.take("a")
