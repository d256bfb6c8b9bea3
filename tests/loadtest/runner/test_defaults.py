"""What a command line leaves out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from loadtest.cli.commands import main
from loadtest.core.errors import UsageProblem
from loadtest.runner import defaults
from tests.loadtest.programs import fake_engine, loadtest, read_report

HERE = "http://127.0.0.1:8080"


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("given", "told"):
        (tmp_path / name).write_text(f"key-{name}\n")
    return tmp_path / "given", tmp_path / "told"


def test_the_address_is_the_given_one_the_told_one_or_the_gateway_s() -> None:
    told = {"FULLBATCH_HOST": "http://told:1"}
    assert defaults.base_url("http://given:1", told) == "http://given:1"
    assert defaults.base_url(None, told) == "http://told:1"
    assert defaults.base_url(None, {"FULLBATCH_HOST": ""}) == defaults.base_url(None, {}) == HERE


def test_the_key_is_the_given_one_the_told_one_or_the_told_file_s(files: tuple[Path, Path]) -> None:
    given, told = files
    environment = {"FULLBATCH_KEY_FILE": str(told)}
    assert defaults.keys(given, HERE, {**environment, "FULLBATCH_API_KEY": "direct"}) == ("key-given",)
    assert defaults.keys(None, HERE, {**environment, "FULLBATCH_API_KEY": " direct\n"}) == ("direct",)
    assert defaults.keys(None, HERE, environment) == ("key-told",)
    assert defaults.keys(None, HERE, {}) == (None,)


def test_another_server_does_not_get_the_key_of_the_told_one(files: tuple[Path, Path]) -> None:
    environment = {"FULLBATCH_HOST": "http://told:1", "FULLBATCH_KEY_FILE": str(files[1])}
    assert defaults.keys(None, "http://told:1", environment) == ("key-told",)
    assert defaults.keys(None, "http://elsewhere:1", environment) == (None,)


def test_a_key_that_can_be_none_is_one_line_without_the_key() -> None:
    with pytest.raises(UsageProblem, match="^FULLBATCH_API_KEY: a key has a blank") as refused:
        defaults.keys(None, HERE, {"FULLBATCH_API_KEY": "sk secret"})
    assert "secret" not in str(refused.value)


def test_each_run_has_a_folder_of_its_own() -> None:
    assert defaults.out(Path("given")) == Path("given")
    assert re.fullmatch(r"reports/\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d", str(defaults.out(None)))


def test_usage_lines_show_what_was_typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for typed, words, expected in (
        ("", ["run", "--help"], "usage: python -m loadtest run"),
        ("fullbatch loadtest", ["run", "--help"], "usage: fullbatch loadtest run"),
        ("fullbatch", ["report", "--help"], "usage: fullbatch report"),
        ("fullbatch report", ["diff", "--help"], "usage: fullbatch report diff"),
    ):
        monkeypatch.setenv("FULLBATCH_TYPED", typed)
        with pytest.raises(SystemExit):
            main(words)
        assert capsys.readouterr().out.startswith(expected)


def test_a_run_with_nothing_but_its_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_engine(ttft_ms=1, itl_ms=1) as (url, _):
        monkeypatch.setenv("FULLBATCH_HOST", url)
        monkeypatch.setenv("FULLBATCH_API_KEY", "some-key")
        short = ("--users", "1", "--requests-per-user", "1", "--max-tokens", "4", "--max-lag-ms", "5000")
        done = loadtest("run", *short, "--out", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert (
        read_report(tmp_path)["sides"][0]["model"] == "tiny"
        and "some-key" not in (tmp_path / "report.json").read_text()
    )
