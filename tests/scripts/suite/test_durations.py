"""How long the tests took, from pytest's report to the file and back."""

from __future__ import annotations

from pathlib import Path

from scripts.suite import durations

REPORT = """<testsuites><testsuite>
<testcase classname="tests.gateway.test_app" name="test_a" time="1.25"/>
<testcase classname="tests.gateway.test_app" name="test_b[1]" time="2.5"/>
<testcase classname="tests.test_ports" name="test_c" time="{}"/>
</testsuite></testsuites>"""


def test_files_are_kept_with_the_slowest_first(tmp_path: Path) -> None:
    for name, time in (("one.xml", "10"), ("two.xml", "0.5")):
        (tmp_path / name).write_text(REPORT.format(time))
    kept = tmp_path / "durations.txt"
    durations.record([tmp_path / "one.xml", tmp_path / "two.xml"], kept)
    assert list(durations.read(kept).items()) == [("tests/test_ports.py", 10.5), ("tests/gateway/test_app.py", 7.5)]
    assert kept.read_text().startswith("# Seconds")


def test_without_a_file_nothing_is_known(tmp_path: Path) -> None:
    assert durations.read(tmp_path / "none") == {}
