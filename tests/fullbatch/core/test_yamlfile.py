from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

import pytest

from fullbatch.core.errors import UsageError
from fullbatch.core.yamlfile import read_mapping

MERGES = "m0: &m0 {x: 1}\n" + "".join(
    f"m{n}: &m{n} {{<<: [{', '.join([f'*m{n - 1}'] * 10)}], k{n}: 1}}\n" for n in range(1, 10)
)

LAUGHS = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10))


def _read(tmp_path: Path, text: str | bytes) -> dict[str, object]:
    path = tmp_path / "x.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_mapping(path)


def test_a_mapping_comes_back_as_it_is(tmp_path: Path) -> None:
    assert _read(tmp_path, "a: 1\nb: {c: [x, 'no', 1.5]}\n") == {"a": 1, "b": {"c": ["x", "no", 1.5]}}


@pytest.mark.parametrize("text", [b"#" * 10 * 2**20, b"a: 1\n" + b"# \n" * 2**18, b"a: [" + b"1," * 2**18 + b"]"])
def test_a_file_of_megabytes_is_refused_at_once(tmp_path: Path, text: bytes) -> None:
    """10 MiB of comment were read for 15 s."""
    began = time.monotonic()
    with pytest.raises(UsageError, match=r"x\.yaml: more than 256 KiB; that is no profile"):
        _read(tmp_path, text)
    assert time.monotonic() - began < 2


def test_aliases_that_multiply_are_refused_at_once(tmp_path: Path) -> None:
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in pairwise("abcdefgh")
    )
    for text in (bomb, "a: &a [*a]\n"):
        with pytest.raises(UsageError, match=r"more than 20000 values, aliases \(\*name\) counted"):
            _read(tmp_path, text)
    assert _read(tmp_path, "a: &a [1]\nb: *a\n") == {"a": [1], "b": [1]}


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("a: [1, 2\nb: 3\n", "line 2, column 2", "expected ',' or ']'"),
        ("a: 1\n b: 2\n", "line 2, column 3", "mapping values are not allowed"),
        ("a: 1\nb: 2\na: 3\n", "line 3, column 1", "the key 'a' is given twice, first in line 1; keep one"),
        ("a: {b: 1, b: 2}\n", "line 1, column 11", "the key 'b' is given twice"),
        ("1: x\n1: y\n", "line 2, column 1", "the key '1' is given twice"),
        ("a: *nowhere\n", "line 1, column 4", "undefined alias"),
        ("a: !!python/object:os.system x\n", "line 1, column 4", "could not determine a constructor"),
        ("? [a]\n: b\n", "line 1, column 3", "unhashable key"),
        ("a: '", "line 1, column 5", "unexpected end of stream"),
        (MERGES, "line 5, column 14", "more than 20000 values, aliases (*name) counted"),
        (LAUGHS, "line 5, column 5", "more than 20000 values, aliases (*name) counted"),
        ("a: &a [*a]\n", "line 1, column 4", "more than 20000 values, aliases (*name) counted"),
        ("a: 1\n\tb: 2\n", "line 2, column 1", "cannot start any token"),
    ],
)
def test_a_syntax_error_names_file_line_and_column(tmp_path: Path, text: str, where: str, what: str) -> None:
    with pytest.raises(UsageError) as raised:
        _read(tmp_path, text)
    assert str(raised.value).startswith(f"{tmp_path}/x.yaml: {where}: ")
    assert what in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "this is empty"),
        ("# only a comment\n", "this is empty"),
        ("- a\n- b\n", "this is a list"),
        ("hello\n", "this is a str"),
        (b"a: \xff\n", "byte 3 is not UTF-8"),
        ("a: \x07\n", "not valid YAML"),
        ("a: 2026-13-45\n", "not valid YAML: month must be in 1..12"),
        ("a: !!int many\n", "not valid YAML"),
        ("a: " + "[" * 5000, "not valid YAML"),
    ],
)
def test_what_is_no_mapping_is_refused_in_one_line(tmp_path: Path, text: str | bytes, what: str) -> None:
    with pytest.raises(UsageError) as raised:
        _read(tmp_path, text)
    assert what in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_merge_may_be_overridden(tmp_path: Path) -> None:
    assert _read(tmp_path, "x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3}\n")["y"] == {"a": 1, "b": 3}


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path, why in ((tmp_path / "none.yaml", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(UsageError) as raised:
            read_mapping(path)
        assert str(raised.value) == f"{path}: {why}"
