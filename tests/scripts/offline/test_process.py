"""Other programs, and how their failures are told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scripts.offline.process import OfflineError, last_words, output, stream


def test_a_failing_program_is_told_in_one_line_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(OfflineError, match=r"^sh -c: exit 3: it broke$"):
        output(["sh", "-c", "echo first >&2; echo it broke >&2; exit 3"])
    log = tmp_path / "logs/x.log"
    seen: list[str] = []
    with pytest.raises(OfflineError, match=r"^sh -c: exit 4: last .*x\.log"):
        stream(["sh", "-c", "echo one; echo last; exit 4"], env=dict(os.environ), log=log, line_seen=seen.append)
    assert seen == ["one", "last"]
    assert log.read_text() == "one\nlast\n"


def test_missing_and_slow_programs_are_told_too() -> None:
    with pytest.raises(OfflineError, match="no-such-program: this program is not installed"):
        output(["no-such-program"])
    with pytest.raises(OfflineError, match="no end after"):
        output(["sleep", "5"], timeout_s=0.1)
    assert last_words("\n\n") == "no word of why"
