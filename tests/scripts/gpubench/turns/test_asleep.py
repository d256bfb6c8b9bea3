"""Two fake engines in turns behind a real launcher."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scripts.gpubench.turns import table
from tests.scripts.gpubench.turns import machine


def test_each_is_started_put_to_sleep_woken_and_asked_the_same_again(
    measured: Callable[[str], tuple[dict[str, Any], Any]],
) -> None:
    found, options = measured("turns")
    did = [(step["model"], step["did"], step["state"]) for step in found["steps"]]
    first = [("start", "ready"), ("sleep", "asleep")]
    assert did[:4] == [("one.5b", *one) for one in first] + [("two", *one) for one in first]
    assert did[4:6] == [("one.5b", "wake", "ready"), ("one.5b", "sleep", "asleep")]
    assert did[-4:] == [(name, *one) for name in ("one.5b", "two") for one in (("start", "ready"), ("stop", "stopped"))]
    assert [step["same_texts"] for step in found["steps"] if step["did"] == "wake"] == [True, True]
    assert {step["load"]["kind"] for step in found["steps"] if step["did"] == "wake"} == {"wake"}
    assert found["empty_mib"] == 1000
    assert found["planned"]["engines"]["one.5b"]["flags"]["enable-sleep-mode"] is True

    assert [one["status"] for one in found["refused"]] == [409, 409, 409]
    assert found["refused"][0]["why"] == "'one-5b' is starting; one at a time"
    assert set(found["guard"]["one.5b"].values()) == {404}
    assert "launcher: put 'two' to sleep" in (options.out / "sleep" / "launcher.log").read_text()
    lines = "\n".join(table.markdown(machine.cell(), options.out))
    assert "9 of 9 routes are 404" in lines and "| 1 of 1 |" in lines
