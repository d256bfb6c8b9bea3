"""The target file: read, and refused with the place and what would be right."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtest.analysis.points import Slo
from loadtest.analysis.targets import read_target_file
from loadtest.core.errors import UsageProblem
from tests.loadtest.programs import ROOT

ONE = "version: 1\ntargets:\n  - {name: a, users: 5, metric: total_time_s, below: 3}\n"


def test_the_shipped_targets_are_the_seeds() -> None:
    shipped = read_target_file(ROOT / "loadtest" / "targets.yaml")
    absolute = {target.users: target for target in shipped.targets if target.times_better is None}
    assert (absolute[5].metric, absolute[5].below) == ("total_time_s", 3.0)
    assert (absolute[50].metric, absolute[50].below) == ("total_time_s", 20.0)
    assert absolute[50].applies_to == {"gpu": "RTX 4090", "model": "Qwen 1.5B"}
    relative = {(target.users, target.metric): target for target in shipped.targets if target.times_better is not None}
    assert {key: target.times_better for key, target in relative.items()} == {
        (5, "total_time_s"): 2.0,
        (50, "total_time_s"): 2.0,
        (1, "total_time_s"): 4.4,
        (1, "e2e_p50_ms"): 1.6,
    }
    assert {target.baseline for target in relative.values()} == {"ollama"}
    assert shipped.slo == Slo(ttft_ms=1000, tpot_ms=100, e2e_ms=None)


def test_a_file_without_slo_names_none(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text(ONE)
    assert read_target_file(tmp_path / "t.yaml").slo is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("version: 2\ntargets: []\n", "version: 1"),
        ("version: 1\ntargets: []\n", "targets: a list should have at least 1 item"),
        ("- a\n", "version: 1"),
        ("", "version: 1"),
        ("version: [\n", "not valid YAML"),
        ("version: 1\nversion: 1\ntargets: []\n", "the key 'version' is given twice"),
        ("version: !!python/object/apply:os.system [ls]\n", "not valid YAML"),
        ("version: 1\ntargets: [7]\n", "targets[0]: 7 should be a mapping"),
        (ONE.replace("below", "under"), "targets[0].under: no such setting; there are name, users"),
        (ONE.replace("total_time_s", "speed"), "targets[0].metric: unknown 'speed' (valid: total_time_s"),
        (ONE.replace("users: 5", "users: many"), "targets[0].users: 'many' should be a valid integer"),
        (ONE.replace("users: 5", "users: true"), "targets[0].users: True should be a valid integer"),
        (ONE.replace("users: 5", "users: [5]"), "targets[0].users: a list should be a valid integer"),
        (ONE.replace("users: 5, ", ""), "targets[0].users: is missing; add it"),
        (ONE.replace("name: a", "name: 7"), "targets[0].name: 7 should be a text; put it in quotes"),
        (
            ONE.replace("metric: total_time_s", "metric: [x]"),
            "targets[0].metric: a list should be a text; put it in quotes",
        ),
        (ONE.replace("below", "belov"), "targets[0].belov: no such setting (did you mean below?)"),
        (ONE.replace("below: 3", "below: 3, at_least: 1"), "exactly one of"),
        (ONE.replace("below: 3", "below: fast"), "targets[0].below: 'fast' should be a valid number"),
        (
            ONE.replace("below: 3", "below: .nan"),
            "targets[0].below: nan should be a finite number",
        ),
        (ONE.replace("below: 3", "below: -3"), "targets[0].below: -3 should be greater than or equal to 0"),
        (ONE.replace("below: 3", "below: yes"), "targets[0].below: True should be a valid number"),
        (ONE.replace("below: 3", "times_better: 2"), "'times_better' and 'baseline'"),
        (ONE.replace("below: 3", "below: 3, baseline: ollama"), "'times_better' and 'baseline'"),
        (
            ONE.replace("below: 3", "times_better: 0, baseline: b"),
            "targets[0].times_better: 0 should be greater than 0",
        ),
        (ONE.replace("below: 3", "times_better: 2, baseline: b, side: b"), "name two sides"),
        (ONE.replace("below: 3", "below: 3, mode: wild"), "targets[0].mode: 'wild' should be 'closed', 'burst'"),
        (
            ONE.replace("below: 3", "below: 3, applies_to: [a]"),
            "targets[0].applies_to: a list should be a mapping",
        ),
        (ONE + ONE.splitlines()[-1] + "\n", "targets: two are called 'a'; give each another name"),
        (ONE + "slo: {ttft: 3}\n", "slo.ttft: no such setting (did you mean ttft_ms?)"),
        (ONE + "slo: {ttft_ms: 0}\n", "slo.ttft_ms: 0 should be greater than 0"),
        (ONE + "slo: {}\n", "slo: some of ttft_ms, tpot_ms, e2e_ms are expected"),
        (ONE.replace("below: 3", "below: 1.0e+400"), "targets[0].below: inf should be a finite number"),
        (ONE.replace("below: 3", "below: " + "9" * 400), "targets[0].below: "),
        (ONE.replace("name: a", "name: ' '"), "targets[0].name: "),
        (ONE + "more: 1\n", "more: no such setting; there are version, slo, targets"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "targets.yaml"
    path.write_text(text)
    with pytest.raises(UsageProblem) as refused:
        read_target_file(path)
    assert expected in str(refused.value) and str(path) in str(refused.value) and "\n" not in str(refused.value)


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "targets.yaml"
    path.write_text("version: 1\nslo: {x: 1}\ntargets:\n  - {name: a, users: 0, metric: speed}\n  - {users: 1}\n")
    with pytest.raises(UsageProblem) as refused:
        read_target_file(path)
    for part in ("targets[0].users", "targets[0].metric", "targets[1].name: is missing; add it", "slo.x"):
        assert part in str(refused.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match="no such file"):
        read_target_file(tmp_path / "none.yaml")
