"""YAML that a person wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtest.core.errors import UsageProblem
from loadtest.core.yaml_file import load


def test_plain_values_come_back(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: {b: [1, 2.5, yes]}\n")
    assert load(tmp_path / "a.yaml", "--file") == {"a": {"b": [1, 2.5, True]}}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a: 1\nb: 2\na: 3\n", "'a' is there twice, first in line 1 in \"<unicode string>\", line 3, column 1"),
        (b"? [a]\n: 1\n", "not YAML"),
        (b"a: {b: 1, b: 2}", "'b' is there twice"),
        (b"a: [1", "not YAML"),
        (b"a: !!python/object/apply:os.getcwd []", "not YAML"),
        (b"\xff\xfe\x00", "not UTF-8 text"),
        (None, "No such file"),
    ],
)
def test_a_fault_is_one_line_with_option_and_path(tmp_path: Path, content: bytes | None, expected: str) -> None:
    path = tmp_path / "a.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageProblem) as refused:
        load(path, "--file")
    assert str(refused.value).startswith(f"--file {path}: ") and "\n" not in str(refused.value)
    assert expected in str(refused.value)
