"""Parts one after the other: what is done, what is cut short, and what goes on."""

from __future__ import annotations

from typing import Any

import pytest

from fullbatch.core.errors import HostError
from scripts.gpubench.turns import run
from scripts.gpubench.turns.launched import OutOfTime
from tests.fullbatch.checkout import Checkout
from tests.scripts.gpubench.turns import machine


def cell_of(there: Checkout, said: list[str], parts: dict[str, Any], seconds: float = 600.0) -> run.RunningTurns:
    one = run.RunningTurns(machine.matrix(), machine.cell(), machine.options(there, said, seconds))
    one._parts = parts
    return one


def test_what_is_done_is_not_done_again_and_the_rest_is_tried(there: Checkout) -> None:
    asked: list[str] = []
    said: list[str] = []

    def good(found: dict[str, Any]) -> None:
        asked.append("good")
        found["x"] = 1

    def short(found: dict[str, Any]) -> None:
        asked.append(f"short {list(found.get('variants', {}))}")
        found.setdefault("variants", {})["a"] = {}
        raise OutOfTime

    def bad(_: dict[str, Any]) -> None:
        raise HostError("no card", "here")

    parts = {"turns": good, "race": short, "people": bad}
    assert not cell_of(there, said, parts).run()
    folder = there.root / "out" / "sleep"
    assert run.read(folder, "turns")["status"] == "done"
    assert run.read(folder, "race")["status"] == "cut short"
    assert run.read(folder, "people")["error"] == "no card\nhere"
    assert said == ["sleep, race: no time is left", "sleep, people: no card"]
    assert not cell_of(there, said, parts).run()
    assert asked == ["good", "short []", "short ['a']"], "a race goes on where it stopped"
    assert cell_of(there, said, {"race": good, "people": good}).run()


def test_a_part_for_which_no_time_is_left_is_not_begun(there: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(run, "LEAST_S", 100.0)
    assert not cell_of(there, said, {"turns": lambda found: found.update(begun=1)}, seconds=50).run()
    assert "not begun" in said[0]
    assert run.read(there.root / "out" / "sleep", "turns") == {}
