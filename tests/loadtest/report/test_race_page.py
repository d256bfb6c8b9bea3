"""The page of a tuning race."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from loadtest.core.errors import UsageProblem
from loadtest.report import race_page


def race(**changes: Any) -> dict[str, Any]:
    gain = {"mean": 0.26, "low": 0.1, "high": 0.42, "pairs": 3}
    unknown = {"mean": -0.1, "low": None, "high": None, "pairs": 1}
    boots = [
        {"arm": arm, "round": number, "kind": "screening" if number == 1 else "final", "value": value, "shown": 8.0,
         "at_s": 60.0 * number}
        for number in (1, 2) for arm, value in (("plan", 8.2), ("seats-16", 12.1))
    ]  # fmt: skip
    arms = [
        {"name": "plan", "title": "today's plan", "forecast": 8.0, "failed": None, "value": 8.2, "gain": None},
        {"name": "seats-16", "title": "16 seats", "forecast": None, "failed": None, "value": 12.1, "gain": gain},
        {"name": "once", "title": "once", "forecast": 1.0, "failed": None, "value": 5.0, "gain": unknown},
        {"name": "broken", "title": "broken", "forecast": 1.0, "failed": "no room <b>", "value": None, "gain": None},
    ]
    return {
        "schema": race_page.SCHEMA, "profile": "cpu-tiny", "day": "2026-11-30", "unit": "people",
        "question": {"slo": "ttft_p95=1s", "load": ["--workload", "chat"]},
        "verdict": {"word": "better", "sentence": "seats-16 is better", "reasons": ["held"], "winner": "seats-16"},
        "arms": arms, "pruned": [{"name": "kv-fp8", "why": "no card"}], "boots": boots, "spent_s": 300.0,
        "not_raced": [], "final": gain, "held_out": gain, "diff": "-a\n+b\n",
    } | changes  # fmt: skip


def test_the_page_has_verdict_arms_and_the_race_drawn(tmp_path: Path) -> None:
    (tmp_path / "race.json").write_text(json.dumps(race()), encoding="utf-8")
    assert race_page.is_race(tmp_path)
    page = race_page.write(tmp_path).read_text(encoding="utf-8")
    assert "Better: seats-16 is better" in page and "-a\n+b" in page
    assert "+29.7 %" in page and "+10.5 % to +52.2 %" in page
    assert "did not start: no room &lt;b&gt;" in page
    assert page.count("<svg") == 2 and "<script" not in page and "http" not in page.replace("http-equiv", "")


def test_a_race_without_a_gain_or_a_boot_is_drawn_too() -> None:
    verdict: dict[str, Any] = {
        "word": "cannot tell",
        "sentence": "no arm but the plan has started",
        "reasons": [],
        "winner": None,
    }
    page = race_page.render(race(verdict=verdict, arms=race()["arms"][:1], boots=[], pruned=[]))
    assert page.count('class="empty"') == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [("{", "not JSON"), ("[]", "only 'fullbatch.race/1' can"), ('{"schema": "fullbatch.race/1"}', "a damaged report")],
)
def test_what_is_no_race_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "race.json").write_text(text, encoding="utf-8")
    with pytest.raises(UsageProblem, match=said) as found:
        race_page.write(tmp_path)
    assert "\n" not in str(found.value)


def test_a_folder_with_a_report_is_no_race(tmp_path: Path) -> None:
    assert not race_page.is_race(tmp_path)
    (tmp_path / "race.json").touch()
    (tmp_path / "report.json").touch()
    assert not race_page.is_race(tmp_path)
