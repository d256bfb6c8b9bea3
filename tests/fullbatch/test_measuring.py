"""The load test as a program that `fullbatch` starts."""

from __future__ import annotations

import shutil

import pytest

from tests.fullbatch.checkout import REPOSITORY, Checkout


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (["selfcheck", "--help"], 0, "streams at once (default 50)"),
        (["run", "--users", "0"], 2, "is not a list of whole numbers"),
        (["report", "nowhere"], 2, "nowhere/report.json: No such file"),
        ([], 2, "the following arguments are required: command"),
    ],
)
def test_its_words_and_its_exit_code_pass_through(
    checkout: Checkout, words: list[str], code: int, expected: str
) -> None:
    shutil.copytree(REPOSITORY / "loadtest", checkout.root / "loadtest", ignore=shutil.ignore_patterns("__pycache__"))
    run = checkout.run("loadtest", *words)
    assert (run.returncode, expected in run.stdout + run.stderr) == (code, True), run.stdout + run.stderr
