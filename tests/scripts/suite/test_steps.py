"""What the whole suite consists of: everything once, and nothing that waits for what is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.suite.steps import ROWS, STEPS

ROOT = Path(__file__).resolve().parents[3]
IN_ROWS = [file for row in ROWS.values() for file in row]
OF_PYTEST = {step.name: step.command for step in STEPS if "pytest" in step.command}


def test_every_test_is_in_one_step_and_one_only() -> None:
    """By markers whose expressions are each other's complement; and by file, left out of one row for the other."""
    chosen = {name: words[-1 - words[::-1].index("-m") + 1] for name, words in OF_PYTEST.items()}
    assert chosen == {
        "side-by-side": "not engine and not docker", "docker-tests": "docker",
        "engine-tests": "engine", "engine-tests-2": "engine",
    }  # fmt: skip
    left_out = [word.removeprefix("--ignore=") for word in OF_PYTEST["engine-tests"] if word.startswith("--ignore=")]
    named = [word for row in ROWS for word in OF_PYTEST[row] if word.startswith("tests/")]
    assert left_out == named == IN_ROWS
    assert not [word for name in ("side-by-side", "docker-tests") for word in OF_PYTEST[name] if "tests/" in word]


def text_of(file: str) -> str:
    path = ROOT / file
    return "".join(one.read_text() for one in (sorted(path.rglob("*.py")) if path.is_dir() else [path]))


@pytest.mark.parametrize("file", IN_ROWS)
def test_the_other_rows_have_files_of_real_engines(file: str) -> None:
    assert "pytest.mark.engine" in text_of(file)


@pytest.mark.parametrize("file", IN_ROWS)
def test_the_other_rows_leave_alone_what_this_checkout_runs(file: str) -> None:
    """Else two rows would start and stop the same deployment."""
    assert "served.up" not in text_of(file) and "scripts/demo" not in text_of(file)


def test_steps_wait_only_for_steps_that_there_are() -> None:
    names = [step.name for step in STEPS]
    assert len(set(names)) == len(names)
    assert {name for step in STEPS for name in step.after} <= set(names)


def test_what_needs_a_program_waits_until_it_was_tried_to_get_it() -> None:
    after = {step.name: set(step.after) for step in STEPS}
    for name in ("engine-tests", *ROWS, "compiled"):
        assert "engine" in after[name]
    assert "llama" in after["engine-tests"] and "programs" in after["compiled"]
    assert {"peers", "clients"} <= after["side-by-side"] and "clients" in after["engine-tests-2"]
    assert "tests/e2e/real" in ROWS["engine-tests-2"]
