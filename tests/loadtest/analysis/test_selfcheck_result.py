"""The file of a self check."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from loadtest.analysis.selfcheck_result import read
from loadtest.core.errors import UsageProblem
from tests.loadtest.answers import self_check


def test_what_is_written_is_read(tmp_path: Path) -> None:
    (tmp_path / "check.json").write_text(self_check().model_dump_json())
    assert read(tmp_path / "check.json") == self_check()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "not a self check (is not JSON: EOF"),
        ("{}", "not a self check (at: is missing; add it)"),
        (json.dumps(self_check().model_dump() | {"users": "many"}), "(users: 'many' should be a valid integer"),
        (json.dumps(self_check().model_dump() | {"schema_name": "other/1"}), "(schema_name: 'other/1' should be"),
        (None, "no such file"),
    ],
)
def test_another_file_is_refused_in_one_line(tmp_path: Path, text: str | None, expected: str) -> None:
    if text is not None:
        (tmp_path / "check.json").write_text(text)
    with pytest.raises(UsageProblem) as refused:
        read(tmp_path / "check.json")
    assert expected in str(refused.value) and "\n" not in str(refused.value)
