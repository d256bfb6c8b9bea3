"""`memory` in gateway.yaml."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config import loader
from gateway.config.loader import SettingsError
from tests.gateway.harness import write_config

PART = {"engine": "engine", "weights_gib": 10.0, "overhead_gib": 1.0, "kv_gib": 5.0}
TURN = {**PART, "turns": True}


def card(**changed: object) -> dict[str, object]:
    return {"title": "card 0", "total_gib": 24.0, "parts": [PART]} | changed


def test_what_nobody_has_is_free(tmp_path: Path) -> None:
    together = card(parts=[{**PART, "kv_gib": 1.0}, TURN, {**TURN, "kv_gib": 4.0}], total_gib=48.0, kept_gib=2.0)
    alone, shared = loader.load(write_config(tmp_path, ["http://e:1"], memory=[card(), together])).memory
    assert (alone.free_gib, alone.turn_gib) == (8.0, 0.0)
    assert (shared.free_gib, shared.turn_gib) == (48 - 12 - 16 - 2, 16)
    assert loader.load(write_config(tmp_path, ["http://e:1"])).memory == ()


def test_a_rounding_below_zero_is_none(tmp_path: Path) -> None:
    (full,) = loader.load(write_config(tmp_path, ["http://e:1"], memory=[card(total_gib=15.99)])).memory
    assert full.free_gib == 0


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (card(parts=[]), r"memory\[0\]\.parts"),
        (card(total_gib=-1.0), r"memory\[0\]\.total_gib"),
        (card(title=""), r"memory\[0\]\.title"),
        (card(parts=[{**PART, "kv": 1.0}]), "kv"),
        (card(total_gib=float("nan")), r"memory\[0\]\.total_gib"),
    ],
)
def test_anything_else_is_one_line(tmp_path: Path, said: object, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        loader.load(write_config(tmp_path, ["http://e:1"], memory=[said]))
