from __future__ import annotations

from pathlib import Path

import pytest

from fullbatch.runtime.process.logs import tail


@pytest.mark.parametrize(("text", "lines", "last"), [("", 3, []), ("a\nb\nc\n", 2, ["b", "c"]), ("a", 5, ["a"])])
def test_the_tail_of_a_log(tmp_path: Path, text: str, lines: int, last: list[str]) -> None:
    (tmp_path / "log").write_text(text, encoding="utf-8")
    assert tail(tmp_path / "log", lines) == last


def test_the_tail_of_a_large_binary_log_and_of_none(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"\xff\xfe line\n" * 100_000)
    assert len(tail(tmp_path / "log", 10)) == 10
    assert tail(tmp_path / "none", 10) == []
