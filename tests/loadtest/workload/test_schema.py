"""Workload files: every shipped one is read, every fault is told in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtest.core.errors import UsageProblem
from loadtest.workload.schema import FOLDER, names, rates_fault, read_workload

KIND = "{name: a, prompt_tokens: 10, output_tokens: 5}"


def test_the_shipped_ones_cover_what_people_do() -> None:
    assert set(names()) >= {"seed", "burst", "chat", "multi-turn", "rag", "long-prompt", "batch", "mixed", "soak"}


@pytest.mark.parametrize("name", names())
def test_a_shipped_one_is_read_and_makes_stages(name: str) -> None:
    workload = read_workload(name)
    assert workload.name == name and workload.description
    stages = workload.arrivals.arrivals().stages()
    assert stages and [stage.number for stage in stages] == list(range(1, len(stages) + 1))
    text = (FOLDER / f"{name}.yaml").read_text()
    assert text.startswith("# "), "say for whom it is"


def test_what_is_special_about_each_is_in_it() -> None:
    kinds = {name: read_workload(name).kinds for name in names()}
    assert kinds["seed"][0].system_tokens == kinds["seed"][0].document_tokens == 0
    assert kinds["chat"][0].system_tokens > kinds["chat"][0].prompt_tokens
    assert kinds["multi-turn"][0].turns > 1
    assert kinds["rag"][0].document_tokens >= 2000 and kinds["rag"][0].documents > 1
    assert kinds["long-prompt"][0].prompt_tokens > 50 * kinds["long-prompt"][0].output_tokens
    assert {kind.key for kind in kinds["mixed"]} == {1, 2} and read_workload("mixed").keys == 2
    assert read_workload("burst").arrivals.mode == "burst"


def test_a_file_of_ones_own_is_read_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"version: 1\ndescription: mine\nkinds: [{KIND}]\n")
    assert read_workload(str(path)).arrivals.arrivals().users == (1, 5, 10, 50)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"version: 1\ndescription: d\nkinds: [{KIND}]\nkindz: 3", "kindz: no such setting (did you mean kinds?)"),
        ("version: 1\ndescription: d\nkinds: []", "kinds: a list should have at least 1 item"),
        (f"version: 2\ndescription: d\nkinds: [{KIND}]", "version: 2 should be 1"),
        (f"version: 1\ndescription: d\nkinds: [{KIND}, {KIND}]", "two are called 'a'"),
        (f"version: 1\nversion: 1\ndescription: d\nkinds: [{KIND}]", "the key 'version' is given twice"),
        (
            "version: 1\ndescription: d\nkinds: [{name: A b, prompt_tokens: 0, output_tokens: many}]",
            "kinds[0].prompt_tokens: 0 should be greater than or equal to 1",
        ),
        (f"version: 1\ndescription: d\nkinds: [{KIND}]\narrivals: {{mode: open}}", "mode open needs rates above 0"),
        (f"version: 1\ndescription: d\nkinds: [{KIND}]\narrivals: {{mode: ramp, rates: [1]}}", "mode ramp needs two"),
        (f"version: 1\ndescription: d\nkinds: [{KIND}]\narrivals: {{users: [0]}}", "arrivals.users[0]: 0 should be"),
        ("- a list", "write a mapping with version, description, kinds and arrivals"),
        ("a: [", "not valid YAML"),
    ],
)
def test_a_fault_is_one_line_with_the_place(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(UsageProblem) as refused:
        read_workload(str(path))
    assert str(refused.value).startswith(f"--workload {path}: ") and "\n" not in str(refused.value)
    assert expected in str(refused.value)


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("version: 1\nkinds: [{name: a, prompt_tokens: 0, output_tokens: 5, loud: true}]\n")
    with pytest.raises(UsageProblem) as refused:
        read_workload(str(path))
    for place in ("description", "kinds[0].prompt_tokens", "kinds[0].loud"):
        assert place in str(refused.value)


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UsageProblem, match="there is no 'sead'; give one of arrivals, batch, burst, chat"):
        read_workload("sead")
    with pytest.raises(UsageProblem, match="no such file"):
        read_workload("nowhere/mine.yaml")


def test_rates_must_fit_the_mode() -> None:
    assert rates_fault("closed", (), 60.0) is None and rates_fault("ramp", (0, 5), 60.0) is None
    assert "above 0" in (rates_fault("open", (0.0, 5), 60.0) or "")
    assert "two rates" in (rates_fault("ramp", (0.0, 0.0), 60.0) or "")
