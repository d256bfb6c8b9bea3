"""Arguments and what is printed, without a run (tests/loadtest/runner/test_run.py has those)."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from loadtest.cli.commands import main
from loadtest.report import html_page
from loadtest.report.document import SCHEMA, write_json
from tests.loadtest.answers import good
from tests.loadtest.programs import under_locust
from tests.loadtest.report.test_html_page import report
from tests.loadtest.reports import Side, make

PLAN = ["run", "--base-url", "http://127.0.0.1:9", "--model", "tiny", "--out", "/nowhere/out"]


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line with which the arguments are refused; nothing else is printed."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    out, err = capsys.readouterr()
    assert (ended.value.code, out, err.count("\n")) == (2, "", 1), err
    return err


WHOLE = "is not a whole number of at least"


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("--users", "", "is not a list of whole numbers of at least 1, such as 1,5,10,50"),
        ("--users", "1,,5", "is not a list of whole numbers"),
        ("--users", "1,-5", "is not a list of whole numbers"),
        ("--users", "2.5", "is not a list of whole numbers"),
        ("--requests-per-user", "0", f"{WHOLE} 1"),
        ("--repeats", "0", f"{WHOLE} 1"),
        ("--rates", "1,-2", "is not a list of numbers, such as 1,2.5,8"),
        ("--rates", "fast", "is not a list of numbers"),
        ("--seconds", "0", "is not a number above 0"),
        ("--obey-retry-after", "never", "is not a number above 0"),
        ("--max-tokens", "1.5", f"{WHOLE} 1"),
        ("--prompt-tokens", "many", f"{WHOLE} 1"),
        ("--warmup", "-1", f"{WHOLE} 0"),
        ("--pid", "0", f"{WHOLE} 1"),
        ("--sample-interval", "0", "is not a number above 0"),
        ("--first-token-timeout", "-1", "is not a number above 0"),
        ("--stall-timeout", "nan", "is not a number above 0"),
        ("--max-lag-ms", "inf", "is not a number above 0"),
    ],
)
def test_a_bad_value_is_one_line_with_option_value_and_what_is_right(
    option: str, value: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused([*PLAN, option, value], capsys)
    assert line.startswith(f"python -m loadtest run: argument {option}: '{value}' {expected}")
    assert line.endswith(" (see --help)\n")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "python -m loadtest: the following arguments are required: command"),
        (["walk"], "python -m loadtest: argument command: invalid choice: 'walk'"),
        (["run", "--base-url"], "python -m loadtest run: argument --base-url: expected one argument"),
        (["report"], "python -m loadtest report: the following arguments are required: directory"),
        ([*PLAN, "--loud"], "python -m loadtest: unrecognized arguments: --loud"),
        ([*PLAN, "--users"], "python -m loadtest run: argument --users: expected one argument"),
    ],
)
def test_a_wrong_command_line_is_one_line(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(arguments, capsys).startswith(expected)


def helped(arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("COLUMNS", "120")
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    out, err = capsys.readouterr()
    assert (ended.value.code or 0, err) == (0, "")
    return out


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    text = helped(["--help"], capsys, monkeypatch)
    assert "load-test one server and write a report" in text
    assert "put the same workload on several servers in turn" in text
    assert "measure the client's own error with a server whose times are known" in text
    assert "rewrite report.html and the CSV files from report.json" in text
    assert "say what became worse between two reports" in text


def test_help_of_run_gives_defaults_units_and_exit_codes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = helped(["run", "--help"], capsys, monkeypatch)
    assert max(map(len, text.splitlines())) <= 120
    said = " ".join(text.split())
    for option, meaning in (
        ("--users USERS", "a stage for each number: 1,5,10,50 (default: from the workload)"),
        ("--requests-per-user N", "requests of each user in a stage of a closed loop (default: from the workload)"),
        ("--max-tokens N", "length of each answer (default: from the workload)"),
        ("--prompt-tokens N", "approximate prompt length (default: from the workload)"),
        ("--warmup N", "short requests of each user before a stage, not counted (default 2)"),
        ("--sample-interval S", "longest time between two samples (default 1)"),
        ("--first-token-timeout S", "limit in seconds (default 600)"),
        ("--stall-timeout S", "longest silence within an answer (default 120)"),
        ("--max-lag-ms MS", "a stage with more client lag is invalid (default 2 ms, or 2 % of the median TTFT"),
    ):
        assert f"{option} {meaning}" in said
    codes = said.partition("exit codes: ")[2].split("; ")
    assert [code.split()[0] for code in codes] == ["0", "1", "2", "3", "4", "130"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, "report.json: No such file or directory"),
        ("", "report.json: not a JSON report: "),
        ('{"schema": "fullba', "report.json: not a JSON report: "),
        ("\x80", "report.json: not a JSON report: "),
        ("[1, 2]", f"report.json: schema is None, only '{SCHEMA}' can be read; run the load test again"),
        (
            '{"schema": "other/1"}',
            f"report.json: schema is 'other/1', only '{SCHEMA}' can be read; run the load test again",
        ),
    ],
)
def test_a_missing_or_broken_report_is_one_line(
    tmp_path: Path, text: str | None, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if text is not None:
        (tmp_path / "report.json").write_bytes(text.encode("latin-1"))
    assert main(["report", str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert err.startswith(f"loadtest: {tmp_path}/{expected}")
    assert not (tmp_path / "report.html").exists()


def test_a_report_without_its_parts_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "report.json").write_text(json.dumps({"schema": SCHEMA}))
    assert main(["report", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_page_that_cannot_be_written_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_json(report(good(0, 10, [(5, 1)])), tmp_path)
    (tmp_path / "report.html.partial").mkdir()
    assert main(["report", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and f"{tmp_path}/report.html: is a directory" in said


def test_report_writes_the_page_and_names_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = report(good(0, 10, [(5, 1)]))
    write_json(content, tmp_path)
    assert main(["report", str(tmp_path)]) == 0
    names = ("report.html", "stages.csv", "requests.csv", "summary.json")
    assert capsys.readouterr() == ("".join(f"{tmp_path}/{name}\n" for name in names), "")
    assert (tmp_path / "report.html").read_text() == html_page.render(
        json.loads((tmp_path / "report.json").read_text())
    )


def run_each(changes: list[list[str]]) -> list[tuple[int, str, str]]:
    """Under Locust: (exit code, stdout, stderr) of runs with these arguments added."""
    ended = []
    for change in changes:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main([*PLAN, *change])
        ended.append((code, out.getvalue(), err.getvalue()))
    return ended


def test_what_is_wrong_in_an_address_or_a_file_is_one_line_before_anything_is_done(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("[1]")
    (tmp_path / "comment").write_text("# no key yet\n")
    (tmp_path / "taken").write_text("a file")
    expected = {
        ("--base-url", "http://"): "--base-url: 'http://' is not an http:// or https:// address",
        ("--base-url", "ftp://a"): "--base-url: 'ftp://a' is not an http:// or https:// address",
        ("--base-url", "http://a/chat"): "--base-url: 'http://a/chat' has a path; give only the address",
        (
            "--base-url",
            "http://u:PW@a",
        ): "--base-url: the address has a user or a password before its host; give only http:",
        ("--api-key", "SECRET"): "--api-key-file: no such file; give the path of a file with the key, never the key",
        ("--base-url", "http://a:99999"): "--base-url: Port out of range 0-65535",
        ("--meta", f"{tmp_path}/list"): f"--meta {tmp_path}/list: write a JSON object",
        ("--target", f"{tmp_path}/list"): f"--target {tmp_path}/list: write 'version: 1' and a list 'targets'",
        ("--api-key-file", f"{tmp_path}/comment"): f"--api-key-file {tmp_path}/comment: no key in it",
        ("--out", f"{tmp_path}/taken"): f"--out {tmp_path}/taken: File exists",
    }
    for (code, out, err), line in zip(under_locust(run_each, list(expected)), expected.values(), strict=True):
        assert (code, out, err.count("\n")) == (2, "", 1), err
        assert err.startswith(f"loadtest: {line}")
        assert not {"PW", "SECRET"} & set(err.replace("@", " ").replace(":", " ").split())


@pytest.fixture
def two(tmp_path: Path) -> list[str]:
    """The folders of a report and of one with slower tokens."""
    for name, gap in (("before", 10.0), ("after", 14.0)):
        (tmp_path / name).mkdir()
        write_json(make([Side(itl_ms=gap)], (1, 50)), tmp_path / name)
    return [str(tmp_path / "before"), str(tmp_path / "after")]


def test_diff_ends_with_one_when_something_became_worse(two: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", *two]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("worse: server, 50 users: itl_p50_ms") for line in lines)
    assert lines[-1].startswith("diff: ") and " worse, " in lines[-1]
    assert main(["diff", *reversed(two)]) == 0
    assert main(["diff", *two, "--tolerance", "60"]) == 0
    capsys.readouterr()
    assert main(["diff", *two, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["exit_code"] == 1


def test_a_reader_that_goes_away_is_no_mistake(two: list[str]) -> None:
    """`fullbatch report diff A B | head -0`"""
    unread, full = os.pipe()
    os.close(unread)
    command = [sys.executable, "-m", "loadtest", "diff", *two]
    ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    os.close(full)
    assert (ended.returncode, ended.stderr) == (141, "")


def test_diff_without_a_report_or_with_nonsense_is_one_line(two: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", two[0], f"{two[1]}/none"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert "after" in refused(["diff", two[0]], capsys)
    for wrong in ("-1", "much", "100"):
        assert f"'{wrong}' is not a number from 0 to 100" in refused(["diff", *two, f"--tolerance={wrong}"], capsys)
    assert "'0' is not a port" in refused([*PLAN, "--export-port", "0"], capsys)


def test_an_old_report_is_judged_again_by_other_targets(two: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    target = Path(two[0]) / "t.yaml"
    target.write_text("version: 1\ntargets:\n  - {name: quick, users: 50, metric: ttft_p95_ms, below: 1}\n")
    assert main(["report", two[0], "--target", str(target)]) == 1
    assert json.loads((Path(two[0]) / "report.json").read_text())["verdict"]["kind"] == "missed"
    assert "1 of 1 targets missed" in (Path(two[0]) / "report.html").read_text()
    assert capsys.readouterr().err == ""


def test_a_prometheus_that_does_not_answer_is_one_line(
    two: list[str], free_port: Callable[[], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", two[0], "--prometheus", f"http://127.0.0.1:{free_port()}"]) == 4
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "cannot be reached" in said
