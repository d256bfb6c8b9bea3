"""report.json: written whole, read with its version."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from loadtest.core.errors import UsageProblem
from loadtest.report.document import SCHEMA, read_json, write, write_json
from tests.loadtest.answers import good
from tests.loadtest.report.test_html_page import report


def test_what_is_written_is_read(tmp_path: Path) -> None:
    content = report(good(0, 10, [(5, 1)]))
    write_json(content, tmp_path)
    assert read_json(tmp_path) == json.loads(json.dumps(content))


def test_a_reader_never_sees_half_a_report(tmp_path: Path) -> None:
    """Writing replaces the file: who has the old one open keeps the old one whole."""
    path = write(tmp_path / "report.json", b"old")
    with path.open("rb") as reader:
        write(path, b"new and longer")
        assert reader.read() == b"old"
    assert path.read_bytes() == b"new and longer"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "not a JSON report"),
        ("[]", "schema is None"),
        (
            '{"schema": "fullbatch.loadtest/9"}',
            f"'fullbatch.loadtest/9', only '{SCHEMA}' can be read; run the load test again",
        ),
        (None, "No such file"),
    ],
)
def test_another_file_is_refused_with_what_was_found(tmp_path: Path, text: str | None, expected: str) -> None:
    if text is not None:
        (tmp_path / "report.json").write_text(text)
    with pytest.raises(UsageProblem) as refused:
        read_json(tmp_path)
    assert expected in str(refused.value) and "\n" not in str(refused.value)
