"""The tables, from raw data written by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from scripts.gpubench.turns import table
from tests.scripts.gpubench.turns import machine


def step(model: str, did: str, state: str, card_mib: float, load_s: float | None = None, **more: Any) -> dict[str, Any]:
    load = None if load_s is None else {"kind": did, "seconds": load_s, "at": 0.0}
    return {
        "model": model, "did": did, "state": state, "seconds": 2.0, "load": load, "why": "", "card_mib": card_mib,
        "engine_gib": None,
    } | more  # fmt: skip


TURNS = {
    "status": "done",
    "empty_mib": 1024.0,
    "planned": {"kept_gib": 1.2, "engines": {"one.5b": {"wake_guess_s": 1.2}, "two": {"wake_guess_s": 1.8}}},
    "steps": [
        step("one.5b", "start", "ready", 20_480, 50.0),
        step("one.5b", "sleep", "asleep", 2048),
        step("two", "start", "ready", 20_480, 70.0),
        step("two", "sleep", "asleep", 3072),
        step("one.5b", "wake", "ready", 21_000, 0.5, first_token_s=0.02, same_texts=True),
        step("one.5b", "sleep", "asleep", 3584),
        step("two", "wake", "failed", 2048, why="did not wake up"),
    ],
    "models": {"one.5b": {"texts": ["a"], "again": ["a"], "kv_tokens_reported": 100, "kv_tokens_planned": 90}},
    "guard": {"one.5b": {"POST /sleep": 404, "GET /server_info": 200}},
    "refused": [{"when": "while another starts", "status": 409, "why": "'one' is starting"}],
}
RACE = {
    "status": "cut short",
    "variants": {
        "at once": {
            "one.5b": {"kv_tokens": 90, "kv_tokens_planned": 100, "seconds": 40.0, "why": ""},
            "two": {"kv_tokens": None, "kv_tokens_planned": 100, "seconds": None, "why": "ValueError: no memory"},
        }
    },
}


def lines(folder: Path, **parts: Any) -> str:
    (folder / "sleep").mkdir()
    for name, content in parts.items():
        (folder / "sleep" / f"{name}.json").write_text(json.dumps(content))
    return "\n".join(table.markdown(machine.cell(), folder))


def test_what_sleepers_keep_counts_from_the_empty_card_and_by_how_many_sleep(tmp_path: Path) -> None:
    found = lines(tmp_path, turns=TURNS)
    assert "- 1 asleep keep 1.00 to 1.00 GiB of the card; counted: 1.2." in found
    assert "- 2 asleep keep 2.00 to 2.50 GiB of the card; counted: 2.4." in found
    assert "| one.5b | 50.00 | – | 0.50 (1.2) | 0.02 | 2.00 (2.00 to 2.00) | 1 of 1 |" in found
    assert "- Failed: two: wake: did not wake up" in found
    assert "100 KV tokens, planned 90; asked twice without a sleep: the same." in found
    assert "1 of 2 routes are 404; {'GET /server_info': 200}" in found


def test_a_start_that_failed_and_parts_that_are_missing_are_told(tmp_path: Path) -> None:
    found = lines(tmp_path, race=RACE)
    assert "| at once | one.5b | 90 | 100 | -10.0% | 40.0 |  |" in found
    assert "| at once | two | – | 100 | – | – | ValueError: no memory |" in found
    assert "Not whole: turns, race, people." in found


def test_nothing_measured_is_no_table(tmp_path: Path) -> None:
    assert table.markdown(machine.cell(), tmp_path) == []
