from __future__ import annotations

import json
from pathlib import Path

from launcher.config import CommandedModel, EngineAddress
from launcher.engine_log import EngineLog
from launcher.entry import LOADS, Entry


def test_what_is_told_of_a_model(tmp_path: Path) -> None:
    entry = Entry(
        CommandedModel("a", ("x",), EngineAddress("127.0.0.1", 1)), EngineLog(tmp_path / "a.log", lambda _: None)
    )
    before = entry.since
    entry.become("stopped", "why")
    assert entry.since == before  # of the state, not of its reason
    entry.become("starting")
    for n in range(LOADS + 5):
        entry.loads.append({"kind": "cold", "seconds": n})
    entry.faults["wake"] += 1
    told = json.loads(json.dumps(entry.told()))
    assert (told["state"], told["why"], told["pid"], told["exit"]) == ("starting", "", None, None)
    assert [load["seconds"] for load in told["loads"]] == list(range(5, LOADS + 5))
    assert told["faults"] == {"wake": 1}
