"""What a race leaves behind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fullbatch.core.errors import HostError
from fullbatch.planning import profile
from fullbatch.tune import arms, result
from fullbatch.tune.race import Race, RaceRules
from fullbatch.tune.verdict import judge
from tests.fullbatch.tune.benches import KnownBench
from tests.fullbatch.tune.test_arms import planned
from tests.fullbatch.tune.test_race import PEOPLE

SEED = """# A comment.
description: few seats  # kept
model: tiny
hardware: {cpu: {kv_cache_gib: 1}}
users: 12
engine:
  args:
    max-num-seqs: 2
    block-size: 16
context: 1024
"""


def report(people: dict[str, float]) -> result.RaceReport:
    wanted, made = planned("cpu-tiny-seed")
    racing = [one for one in arms.build("cpu-tiny-seed", wanted, made, lambda _: False)[0] if one.name in people]
    rules = RaceRules(3600)
    found = Race([one.name for one in racing], KnownBench(people), PEOPLE, rules, lambda _: None).run()
    said = judge(found, rules, "people")
    return result.RaceReport("few", {"slo": "x"}, tuple(racing), (), {}, found, said, "people", "2026-11-30")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "few.yaml").write_text(SEED, encoding="utf-8")
    return tmp_path


def test_the_winner_is_a_change_of_the_profile_that_leaves_the_rest_as_it_was_written(root: Path) -> None:
    found = report({"plan": 2.0, "seats-planned": 20.0})
    old, new = result.changed_text(root, "few", found.arms[0])
    assert old == SEED
    assert new == SEED.replace("    max-num-seqs: 2\n", "")
    patch = result.diff("few", old, new)
    assert [line for line in patch.splitlines() if line[0] in "+-"][2:] == ["-    max-num-seqs: 2"]
    (root / "profiles" / "few.yaml").write_text(new, encoding="utf-8")
    assert profile.load(root, "few").engine.args == {"block-size": 16}


def test_a_setting_is_added_and_a_whole_one_taken_away(root: Path) -> None:
    found = report({"plan": 2.0, "ngram-3": 20.0}).arms[0]
    assert "speculative:\n  method: ngram\n  tokens: 3\n" in result.changed_text(root, "few", found)[1]
    off = arms.Arm(
        "off", "", {"engine": {"args": {"max-num-seqs": None, "block-size": None}}}, found.profile, found.made
    )
    assert "engine" not in result.changed_text(root, "few", off)[1]


def test_the_data_is_json_without_infinities() -> None:
    content = report({"plan": 2.0, "seats-planned": 20.0}).as_json()
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    assert content["verdict"]["winner"] == "seats-planned"
    assert [arm["name"] for arm in content["arms"]] == ["plan", "seats-planned"]


def test_explain_cites_the_last_race_and_says_when_the_profile_is_another_since(root: Path) -> None:
    assert result.cited(root, "few") is None
    result.remember(root, report({"plan": 2.0, "seats-planned": 20.0}), Path("/reports/x"))
    line = result.cited(root, "few")
    assert (
        line
        and line.text.startswith("raced 2026-11-30: better: seats-planned is better")
        and line.source == "/reports/x"
    )
    (root / "profiles" / "few.yaml").write_text(SEED + "goal: throughput\n", encoding="utf-8")
    assert (line := result.cited(root, "few")) and line.text.endswith("; the profile has changed since")
    result.remember(root, report({"plan": 2.0, "seats-planned": 20.0}), Path("/reports/x"), applied=True)
    assert (line := result.cited(root, "few")) and line.text.endswith("; that is in the profile now")
    (root / ".fullbatch" / "tuned" / "few.json").write_text("{", encoding="utf-8")
    with pytest.raises(HostError, match="remove it"):
        result.cited(root, "few")
