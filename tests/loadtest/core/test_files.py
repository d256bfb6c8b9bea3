"""A fault of a file is told with the option that named it."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtest.core.errors import UsageProblem
from loadtest.core.files import load_yaml, read_text


def test_what_is_right_comes_back(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: {b: [1, 2.5, yes]}\n")
    assert read_text(tmp_path / "a.yaml", "--file") == "a: {b: [1, 2.5, yes]}\n"
    assert load_yaml(tmp_path / "a.yaml", "--file") == {"a": {"b": [1, 2.5, True]}}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a: 1\nb: 2\na: 3\n", "line 3, column 1: not valid YAML: the key 'a' is given twice, first in line 1"),
        (b"a: [1", "line 1, column 6: not valid YAML"),
        (b"\xff\xfe\x00", "cannot be read (byte 0 is not UTF-8 text)"),
        (None, "cannot be read (no such file or directory)"),
    ],
)
def test_a_fault_is_one_line_with_option_and_path(tmp_path: Path, content: bytes | None, expected: str) -> None:
    path = tmp_path / "a.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageProblem) as refused:
        load_yaml(path, "--file")
    assert str(refused.value).startswith(f"--file {path}: {expected}") and "\n" not in str(refused.value)


def test_an_endless_device_is_refused() -> None:
    with pytest.raises(UsageProblem, match="--file /dev/zero: is larger than 1 MiB"):
        read_text(Path("/dev/zero"), "--file")
