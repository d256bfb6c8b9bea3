"""The load test as a program that `fullbatch` starts."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fullbatch.measure.launcher import report_words
from tests.fullbatch.checkout import REPOSITORY, Checkout


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (["selfcheck", "--help"], 0, "concurrent streams (default 50)"),
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


def test_paths_are_meant_from_where_one_is(checkout: Checkout, tmp_path: Path) -> None:
    shutil.copytree(REPOSITORY / "loadtest", checkout.root / "loadtest", ignore=shutil.ignore_patterns("__pycache__"))
    here = tmp_path / "elsewhere"
    (here / "loadtest").mkdir(parents=True)
    (here / "loadtest" / "__init__.py").write_text("raise SystemExit('not ours')")
    (here / "targets.yaml").write_text("version: 1\ntargets: [{name: a, users: 1, metric: total_time_s, below: 3}]\n")
    words = ["--base-url", "http://127.0.0.1:9", "--model", "m", "--target", "targets.yaml"]
    run = checkout.run("loadtest", "run", *words, "--out", "mine", here=here)
    assert (run.returncode, run.stderr) == (4, "loadtest: http://127.0.0.1:9: cannot be reached: Connection refused\n")
    assert (here / "mine").is_dir() and not (checkout.root / "mine").exists()
    run = checkout.run("loadtest", "run", *words, here=here)
    assert run.returncode == 4 and (here / "reports").is_dir() and not (checkout.root / "reports").exists()


def test_report_and_diff_take_folders_as_seen_from_where_one_is(tmp_path: Path) -> None:
    (tmp_path / "before").mkdir()
    (tmp_path / "after").mkdir()
    before, after = str(tmp_path / "before"), str(tmp_path / "after")
    assert report_words(["before"], tmp_path) == ["report", before]
    assert report_words(["diff", "before", "after", "--json"], tmp_path) == ["diff", before, after, "--json"]
    assert report_words(["diff", before, "nowhere"], tmp_path) == ["diff", before, "nowhere"]
    assert report_words([], tmp_path) == ["report"]
    written = report_words(["table", "before", "after", "--html", "out.html", "--json"], tmp_path)
    assert written == ["table", before, after, "--html", str(tmp_path / "out.html"), "--json"]


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (["diff", "--help"], 0, "Say what became worse"),
        (["diff", "nowhere", "nowhere"], 2, "nowhere/report.json: No such file"),
        (["nowhere"], 2, "nowhere/report.json: No such file"),
        ([], 2, "the following arguments are required: directory"),
    ],
)
def test_report_is_the_load_test_s(checkout: Checkout, words: list[str], code: int, expected: str) -> None:
    shutil.copytree(REPOSITORY / "loadtest", checkout.root / "loadtest", ignore=shutil.ignore_patterns("__pycache__"))
    run = checkout.run("report", *words)
    assert (run.returncode, expected in run.stdout + run.stderr) == (code, True), run.stdout + run.stderr
