"""YAML as people and accidents write it: each fault is one line that says where, and none quotes the file."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from common.text_file import FileFault
from common.yaml_file import MAX_VALUES, load

LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)
)
MERGES = "m0: &m0 {x: 1}\n" + "".join(
    f"m{n}: &m{n} {{<<: [{', '.join([f'*m{n - 1}'] * 10)}], k{n}: 1}}\n" for n in range(1, 10)
)


def fault(tmp_path: Path, content: str | bytes) -> str:
    path = tmp_path / "gateway.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    began = time.process_time()
    with pytest.raises(FileFault) as error:
        load(path)
    assert time.process_time() - began < 10
    message = str(error.value)
    assert message.isprintable()
    return message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "a: 1\nb: 2\na: 3\n",
            "line 3, column 1: not valid YAML: the key 'a' is given twice, first in line 1; keep one",
        ),
        (
            "a:\n  - {b: 1,\n     c: 2, b: 3}\n",
            "line 3, column 12: not valid YAML: the key 'b' is given twice, first in",
        ),
        ("a: 1\n'a': 3\n", "line 2, column 1: not valid YAML: the key 'a' is given twice"),
        ("1: x\n0x1: y\n", "line 2, column 1: not valid YAML: the key '0x1' is given twice, first in line 1"),
        ("1: x\n1: y\n", "line 2, column 1: not valid YAML: the key '1' is given twice"),
        ("x: &x {a: 1}\ny: {<<: *x, b: 1, b: 2}\n", "line 2, column 19: not valid YAML: the key 'b' is given twice"),
        ("a: [1, 2\nb: 3\n", "line 2, column 2: not valid YAML: expected ',' or ']'"),
        ("a: *nowhere\n", "line 1, column 4: not valid YAML: found undefined alias 'nowhere'"),
        (
            "a: !!python/object/apply:os.getcwd []\n",
            "line 1, column 4: not valid YAML: could not determine a constructor",
        ),
        ("? [a]\n: b\n", "line 1, column 3: not valid YAML: found unhashable key"),
        ("a: 1\n---\nb: 1\n", "line 2, column 1: not valid YAML: but found another document"),
        ("a: \x07\n", "not valid YAML: unacceptable character"),
        (
            "a: 2026-13-45\n",
            "not valid YAML: month must be in 1..12; put texts that look like dates or numbers in quotes",
        ),
        ("a: " + "9" * 5000, "not valid YAML: Exceeds the limit"),
        ("a: " + "[" * 5000, "not valid YAML: brackets are nested too deep"),
        ("a: &a [*a]\n", "line 1, column 4: not valid YAML: holds itself; write out what is meant"),
        ("a: &a {b: *a}\n", "line 1, column 4: not valid YAML: holds itself; write out what is meant"),
        (LAUGHS, f"not valid YAML: stands for more than {MAX_VALUES} values; write out what is meant"),
        (MERGES, f"not valid YAML: stands for more than {MAX_VALUES} values; write out what is meant"),
        ("a: !!int many\n", "not valid YAML: invalid literal for int"),
        ("a: !!timestamp many\n", "not valid YAML: a value is not of the kind that its tag (!!) says"),
        ("a: !!bool many\n", "not valid YAML: a value is not of the kind that its tag (!!) says"),
        ("!!seq a: b\n", "not valid YAML"),
        ("1: a\nyes: b\n", "line 2, column 1: not valid YAML: the key 'yes' is given twice, first in line 1"),
    ],
)
def test_a_fault_says_where_it_is(tmp_path: Path, content: str | bytes, message: str) -> None:
    assert message in fault(tmp_path, content)


@pytest.mark.parametrize(
    "content",
    [
        "engines:\n  - url: http://u:SECRETPW@x:1\n   name: a\n",
        "engines: [{url: 'http://u:SECRETPW@x:1'\nlisten: {}\n",
        "key: SECRETPW: x\n",
        'key: "SECRETPW\n',
        "key: @SECRETPW\n",
        "%SECRETPW\n",
    ],
)
def test_p164_a_fault_never_quotes_the_file(tmp_path: Path, content: str) -> None:
    assert "SECRETPW" not in fault(tmp_path, content)


def test_what_is_right_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text("x: &x {a: 1, b: [c, 'no', 1.5]}\ny: {<<: *x, b: 3}\nz: [*x, *x]\n", encoding="utf-8-sig")
    one = {"a": 1, "b": ["c", "no", 1.5]}
    assert load(path) == {"x": one, "y": {"a": 1, "b": 3}, "z": [one, one]}
    path.write_text("")
    assert load(path) is None
    path.write_text("a: &a {x: 1}\nb: &b {<<: *a, x: 2}\nc: [{<<: *b, y: 3}, {d: {<<: *b}}]\n")  # overridden twice
    assert load(path)["c"] == [{"x": 2, "y": 3}, {"d": {"x": 2}}]
    path.write_text("1: a\n'1': b\n")  # another kind is another key
    assert load(path) == {1: "a", "1": "b"}


@pytest.mark.parametrize("text", [b"a: 1\n" + b"# \n" * 2**18, b"a: [" + b"1," * 2**18 + b"]"])
def test_a_program_may_want_less(tmp_path: Path, text: bytes) -> None:
    """PyYAML reads a megabyte in a second and a half, a comment of 10 MiB in 15 s."""
    path = tmp_path / "a.yaml"
    path.write_bytes(text)
    began = time.process_time()
    with pytest.raises(FileFault, match="^is larger than 256 KiB$"):
        load(path, 256 * 2**10)
    assert time.process_time() - began < 0.5
