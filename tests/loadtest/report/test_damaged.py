"""Files that nobody meant to write: settings of any bytes, reports with parts lost or changed. One line, never more."""

from __future__ import annotations

import copy
import itertools
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loadtest.analysis.selfcheck_result import read as read_check
from loadtest.analysis.targets import read_target_file
from loadtest.cli.commands import main
from loadtest.core.errors import UsageProblem
from loadtest.runner.config import read_keys, read_meta
from loadtest.workload.schema import FOLDER, read_workload
from tests.loadtest.programs import ROOT
from tests.loadtest.reports import Side, make

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{later}: &{later} [*{before}, *{before}, *{before}, *{before}, *{before}, *{before}, *{before}, *{before}]\n"
    for before, later in zip("abcdefgh", "bcdefghi", strict=True)
)
BYTES = {
    "nothing": b"",
    "blank": b" \n\n",
    "zero bytes": b"\0" * 100,
    "binary": bytes(range(256)) * 40,
    "UTF-16": "version: 1".encode("utf-16"),
    "half a character": b"version: 1\nname: \xe2\x82",
    "a number": b"7",
    "not a number": b".nan",
    "a list": b"[1, 2]",
    "a billion laughs": LAUGHS.encode(),
    "laughs as a target": (LAUGHS + "version: 1\ntargets: *i\n").encode(),
    "deep": b"[" * 100_000,
    "deep mapping": b"{a: " * 20_000,
    "huge": b"# \n" * 1_000_000,
    "a date that is none": b"version: 2026-99-99\n",
    "5,000 digits": b"version: " + b"9" * 5000,
    "a key twice": b"version: 1\nversion: 1\n",
    "keys of any kind": b"? [a, b]\n: 1\n1: 2\ntrue: 3\n.nan: 4\n",
    "a class": b"!!python/object/apply:os.system [id]",
    "several documents": b"--- 1\n--- 2\n",
    "merged": b"<<: 7\nversion: 1\n",
    "a tab": b"version:\t1\n\ttargets: []\n",
}
READERS: dict[str, Callable[[Path], object]] = {
    "--target": read_target_file,
    "--workload": lambda path: read_workload(str(path)),
    "--meta": read_meta,
    "--api-key-file": read_keys,
    "--selfcheck": read_check,
}


def refused(reader: Callable[[Path], object], path: Path) -> str | None:
    """The line it is refused with; None when it is taken."""
    try:
        reader(path)
    except UsageProblem as problem:
        assert "\n" not in str(problem) and len(str(problem)) < 2000
        return str(problem)
    return None


@pytest.mark.parametrize("option", READERS)
@pytest.mark.parametrize("name", BYTES)
def test_a_file_of_any_bytes_is_one_line(tmp_path: Path, option: str, name: str) -> None:
    path = tmp_path / "file.yaml"
    path.write_bytes(BYTES[name])
    line = refused(READERS[option], path)
    taken = option == "--api-key-file" and name in {"a number", "not a number", "a billion laughs"}
    assert line is not None or option in ("--api-key-file", "--meta") or taken, "nothing of this is a good file"
    assert line is None or line.startswith(option)


@pytest.mark.parametrize("option", READERS)
def test_a_folder_a_device_and_no_file_are_one_line(tmp_path: Path, option: str) -> None:
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "device.yaml").symlink_to("/dev/zero")
    (tmp_path / "loop.yaml").symlink_to(tmp_path / "loop.yaml")
    for name in ("folder.yaml", "device.yaml", "loop.yaml", "missing.yaml", "a\0b.yaml", "x" * 300 + ".yaml"):
        line = refused(READERS[option], tmp_path / name)
        assert line is not None and line.startswith(option), name


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
WHOLE = {
    "--target": {"version": 1, "slo": {"ttft_ms": 9},
                 "targets": [{"name": "a", "users": 1, "metric": "failures", "below": 1}]},
    "--workload": {"version": 1, "description": "d", "kinds": [{"name": "k", "prompt_tokens": 1, "output_tokens": 1}],
                   "arrivals": {"mode": "open", "rates": [1], "seconds": 3}},
}  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_value_anywhere_in_a_good_file_is_taken_or_one_line(tmp_path: Path, data: st.DataObject) -> None:
    option = data.draw(st.sampled_from(sorted(WHOLE)))
    content = copy.deepcopy(WHOLE[option])
    place = data.draw(st.sampled_from(list(places(content))))
    set_at(content, place, data.draw(VALUES))
    path = tmp_path / "f.yaml"
    path.write_text(json.dumps(content).replace("NaN", ".nan").replace("Infinity", ".inf"))
    refused(READERS[option], path)


def test_what_ships_is_taken() -> None:
    assert {refused(READERS["--workload"], path) for path in FOLDER.glob("*.yaml")} == {None}
    assert refused(read_target_file, ROOT / "loadtest" / "targets.yaml") is None


@pytest.mark.parametrize(
    "words",
    [
        ["--users", "9999999999"], ["--users", "9" * 5000], ["--requests-per-user", "9" * 5000],
        ["--max-tokens", "1e9"],
        ["--mode", "open", "--rates", "900000", "--seconds", "900000"], ["--rates", "inf"], ["--seconds", "nan"],
        ["--mode", "open", "--rates", "nan"], ["--warmup", "-1"], ["--repeats", "99999999999"],
    ],
)  # fmt: skip
def test_a_number_beyond_any_server_is_one_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = main(["run", "--base-url", "http://127.0.0.1:9", "--model", "m", "--out", "r", "--plan", *words])
    except SystemExit as ended:
        code = int(ended.code or 0)
    assert code == 2 and capsys.readouterr().err.count("\n") == 1


def places(content: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where something stands in it, without the bulk of equal rows."""
    inner: list[tuple[str | int, Any]] = []
    if isinstance(content, dict):
        inner = list(content.items())
    elif isinstance(content, list):
        inner = list(enumerate(content[:2]))
    for name, value in inner:
        yield (*path, name)
        yield from places(value, (*path, name))


def set_at(content: Any, path: tuple[str | int, ...], value: object) -> None:
    for step in path[:-1]:
        content = content[step]
    if value is _GONE:
        del content[path[-1]]
    else:
        content[path[-1]] = value


_GONE = object()
_DAMAGE: tuple[object, ...] = (_GONE, None, -1, 10**9, 1e308, 10**18, "x", "", [], {}, [None], {"a": 1}, True)


def test_a_damaged_report_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every place once, with a damage drawn for it; the commands that read reports in turn."""
    whole = json.loads(json.dumps(make([Side("a", failures=1), Side("b")], users=(1, 2, 3))))
    source, good, bad = random.Random(11), tmp_path / "good", tmp_path / "bad"
    for folder in (good, bad):
        folder.mkdir()
    (good / "report.json").write_text(json.dumps(whole))
    commands = itertools.cycle((["report", str(bad)], ["diff", str(good), str(bad)], ["table", str(bad), str(good)]))
    lines = 0
    for place in places(whole):
        damaged = copy.deepcopy(whole)
        set_at(damaged, place, source.choice(_DAMAGE))
        (bad / "report.json").write_text(json.dumps(damaged))
        code = main(next(commands))
        said = capsys.readouterr()
        assert (code == 2) == bool(said.err), (place, code, said.err)
        assert said.err.count("\n") <= 1 and str(bad) in said.err or not said.err, (place, said.err)
        lines += bool(said.err)
    assert lines > 40


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"schema": NaN}', b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_report_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes) -> None:
    (tmp_path / "report.json").write_bytes(content)
    for words in (["report", str(tmp_path)], ["table", str(tmp_path)], ["diff", str(tmp_path), str(tmp_path)]):
        assert main(words) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert main(["report", str(tmp_path / "a\0b")]) == 2
