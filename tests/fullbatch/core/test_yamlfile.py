"""A fault of a profile's file is told as an error of the command line."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from fullbatch.core.errors import UsageError
from fullbatch.core.yamlfile import read_mapping


def _read(tmp_path: Path, text: str | bytes) -> dict[str, object]:
    path = tmp_path / "x.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_mapping(path)


def test_a_mapping_comes_back_as_it_is(tmp_path: Path) -> None:
    assert _read(tmp_path, "a: 1\nb: {c: [x, 'no', 1.5]}\n") == {"a": 1, "b": {"c": ["x", "no", 1.5]}}


def test_a_file_of_megabytes_is_refused_at_once(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(UsageError, match=r"x\.yaml: is larger than 256 KiB"):
        _read(tmp_path, b"#" * 10 * 2**20)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (
            "a: 1\na: 3\n",
            "line 2, column 1: not valid YAML: the key 'a' is given twice, first in line 1; keep one",
        ),
        ("", "a profile is a mapping of settings such as 'model: …', this is empty"),
        ("# only a comment\n", "a profile is a mapping of settings such as 'model: …', this is empty"),
        ("- a\n- b\n", "a profile is a mapping of settings such as 'model: …', this is a list"),
        ("hello\n", "a profile is a mapping of settings such as 'model: …', this is a str"),
        (b"a: \xff\n", "cannot be read (byte 3 is not UTF-8 text)"),
    ],
)
def test_what_is_no_mapping_is_refused_in_one_line(tmp_path: Path, text: str | bytes, what: str) -> None:
    with pytest.raises(UsageError) as raised:
        _read(tmp_path, text)
    assert str(raised.value) == f"{tmp_path}/x.yaml: {what}"


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as raised:
        read_mapping(tmp_path / "none.yaml")
    assert str(raised.value) == f"{tmp_path}/none.yaml: cannot be read (no such file or directory)"
