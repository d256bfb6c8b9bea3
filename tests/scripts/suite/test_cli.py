"""`scripts/test` and `scripts/record-durations`, with a suite of two steps."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.suite import cli, durations
from scripts.suite.steps import Step


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(cli, "ROOT", tmp_path)
    monkeypatch.setattr(cli, "LOGS", tmp_path / "logs")
    monkeypatch.setattr(durations, "FILE", tmp_path / "durations.txt")
    return tmp_path


def suite(monkeypatch: pytest.MonkeyPatch, *commands: str) -> None:
    steps = tuple(Step(f"step-{number}", ("sh", "-c", text)) for number, text in enumerate(commands))
    monkeypatch.setattr(cli, "STEPS", steps)


@pytest.mark.parametrize(("last", "code", "said"), [("exit 0", 0, "all good"), ("echo no; exit 3", 1, "FAILED")])
def test_its_exit_code_is_that_of_its_steps(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], last: str, code: int, said: str
) -> None:
    suite(monkeypatch, "exit 0", last)
    assert cli.main([]) == code
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("2 steps, side by side where they can be; their words are in logs/")
    assert lines[-1].endswith(said)


def test_a_step_that_only_prepares_may_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "STEPS", (Step("fetch", ("sh", "-c", "exit 1"), prepares=True),))
    assert cli.main([]) == 0


def test_durations_are_of_the_last_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["record-durations"]) == 2
    assert "no report in .fullbatch/suite; run scripts/test first" in capsys.readouterr().err
    (folder / "logs").mkdir()
    (folder / "logs" / "side.xml").write_text(
        '<testsuites><testsuite><testcase classname="tests.a.test_x" file="tests/a/test_x.py" name="t" time="3.5"/>'
        "</testsuite></testsuites>"
    )
    assert cli.main(["record-durations"]) == 0
    assert capsys.readouterr().out == "durations.txt: from side\n"
    assert durations.read(folder / "durations.txt") == {"tests/a/test_x.py": 3.5}
