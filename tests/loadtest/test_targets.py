"""The target file: read, and refused with the place and what would be right."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtest.errors import UsageProblem
from loadtest.targets import read_targets
from tests.loadtest.programs import ROOT

ONE = "version: 1\ntargets:\n  - {name: a, users: 5, metric: total_time_s, below: 3}\n"


def test_the_shipped_targets_are_the_seeds() -> None:
    targets = {target.users: target for target in read_targets(ROOT / "loadtest" / "targets.yaml")}
    assert (targets[5].metric, targets[5].below) == ("total_time_s", 3.0)
    assert (targets[50].metric, targets[50].below) == ("total_time_s", 20.0)
    assert targets[50].applies_to == {"gpu": "RTX 4090", "model": "Qwen 1.5B"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("version: 2\ntargets: []\n", "version: 1"),
        ("version: 1\ntargets: []\n", "targets"),
        ("- a\n", "version: 1"),
        ("version: [\n", "not YAML"),
        (ONE.replace("below", "under"), "targets[0]: unknown 'under' (valid: name, users"),
        (ONE.replace("total_time_s", "speed"), "targets[0].metric: unknown 'speed' (valid: total_time_s"),
        (ONE.replace("users: 5", "users: many"), "targets[0].users: 'many' is not a whole number"),
        (ONE.replace("users: 5, ", ""), "targets[0]: 'users' is missing"),
        (ONE.replace("below: 3", "below: 3, at_least: 1"), "exactly one of"),
        (ONE.replace("below: 3", "below: fast"), "targets[0].below: 'fast' is not a number"),
        (ONE + "more: 1\n", "exactly 'version'"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "targets.yaml"
    path.write_text(text)
    with pytest.raises(UsageProblem) as refused:
        read_targets(path)
    assert expected in str(refused.value) and str(path) in str(refused.value) and "\n" not in str(refused.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match="No such file"):
        read_targets(tmp_path / "none.yaml")
