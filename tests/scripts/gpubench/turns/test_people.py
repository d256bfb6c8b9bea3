"""People who ask two fake engines in turns through a real gateway and launcher."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scripts.gpubench.turns import table
from tests.scripts.gpubench.turns import machine


def test_all_are_served_by_the_model_they_asked_for(measured: Callable[[str], tuple[dict[str, Any], Any]]) -> None:
    found, options = measured("people")
    for name in ("one.5b", "two"):
        mine = found["by_model"][name]
        assert mine["answered"] == mine["asked"] > 0, mine
        assert (mine["by_another"], mine["failed"]) == (0, {})
        assert mine["p50_s"] <= mine["p95_s"] <= mine["max_s"]
    (card,) = found["cards"]
    assert card["card"] == "card0" and card["lost_s"] > 0
    assert {one["name"] for one in card["models"]} == {"one-5b", "two"}
    assert "lost to switching" in "\n".join(table.markdown(machine.cell(), options.out))
