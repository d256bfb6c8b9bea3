"""`python -m loadtest selfcheck`, and a run that refers to it. How late this machine is, is not what is tested."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.loadtest.answers import self_check
from tests.loadtest.programs import loadtest, quick, read_report


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, str]:
    """(file, exit code, stdout) of a small check."""
    path = tmp_path_factory.mktemp("selfcheck") / "check.json"
    done = loadtest("selfcheck", "--users", 3, "--tokens-per-s", 40, "--seconds", 2, "--out", path)
    assert done.stderr == ""
    return path, done.returncode, done.stdout


def test_it_says_by_how_much_each_number_is_off(checked: tuple[Path, int, str]) -> None:
    found = json.loads(checked[0].read_text())
    assert (found["users"], found["tokens_per_s"], found["requests"]) == (3, 40, 6)
    for row in found["rows"]:
        assert row["error_ms"] == pytest.approx(row["reported_ms"] - row["true_ms"])
        assert row["ok"] is (abs(row["error_ms"]) <= row["allowed_ms"])
    times = {(row["metric"], row["statistic"]): row["true_ms"] for row in found["rows"]}
    assert times["ttft_ms", "p50"] >= 100 and times["tpot_ms", "mean"] == pytest.approx(25, rel=0.2)
    assert found["token_lag_ms"]["p50"] > 0


def test_the_exit_code_and_the_last_words_follow_the_rows(checked: tuple[Path, int, str]) -> None:
    found = json.loads(checked[0].read_text())
    good = all(row["ok"] for row in found["rows"])
    assert (found["ok"], checked[1]) == (good, 0 if good else 3)
    assert ("the client can be believed here" in checked[2]) is good
    assert found["problems"] == [] or not good


def made(path: Path, users: int) -> Path:
    path.write_text(self_check(users, 5000.0).model_dump_json())
    return path


def test_a_run_beyond_the_checked_region_is_invalid_and_one_within_is_not(
    engine: tuple[str, int], tmp_path: Path
) -> None:
    small, large = made(tmp_path / "small.json", users=1), made(tmp_path / "large.json", users=50)
    beyond = loadtest(*quick(engine[0], tmp_path / "a", users="2", selfcheck=small))
    within = loadtest(*quick(engine[0], tmp_path / "b", users="2", selfcheck=large))
    assert (beyond.returncode, within.returncode) == (3, 0), beyond.stdout + within.stdout
    assert "2 requests under way, and the client was checked for 1" in beyond.stdout
    report = read_report(tmp_path / "a")
    assert report["verdict"]["kind"] == "invalid" and len(report["doubts"]) == 1
    assert report["client"]["selfcheck"]["users"] == 1
    assert read_report(tmp_path / "b")["doubts"] == []


def test_another_file_is_refused(engine: tuple[str, int], tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text("{}")
    done = loadtest(*quick(engine[0], tmp_path, selfcheck=tmp_path / "other.json"))
    assert done.returncode == 2
    assert "not a self check (at: is missing; add it); `selfcheck --out" in done.stderr and done.stderr.count("\n") == 1
