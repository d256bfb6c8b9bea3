"""Lines from a person and from a pipe, and the history that stays."""

from __future__ import annotations

import io
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from fullbatch.chat.typed import TypedLines, editor


def lines(text: str) -> tuple[TypedLines, io.StringIO]:
    prompts = io.StringIO()
    return TypedLines(io.StringIO(text), prompts, None), prompts


def test_one_line_after_the_other_until_the_end() -> None:
    typed, prompts = lines("first\nsecond")
    assert [typed.read("> "), typed.read("> ")] == ["first", "second"]
    with pytest.raises(EOFError):
        typed.read("> ")
    assert (prompts.getvalue(), typed.unfinished()) == ("> > > ", False)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ('"""one\ntwo"""\n', "one\ntwo"),
        ('"""\none\n\n two\n"""\nnext', "one\n\n two"),
        ('"""one"""', "one"),
        ('say """this"""', 'say """this"""'),
    ],
)
def test_several_lines_between_marks(text: str, read: str) -> None:
    assert lines(text)[0].read("> ") == read


def test_a_text_that_never_ends_is_the_end() -> None:
    with pytest.raises(EOFError):
        lines('"""one\ntwo')[0].read("> ")


def test_the_history_is_kept_for_its_owner_alone(tmp_path: Path) -> None:
    """In a program of its own: the line editor is one for the whole process."""
    history = tmp_path / "made" / "history"
    code = (
        "import sys, pathlib; from fullbatch.chat.typed import editor\n"
        "with editor(pathlib.Path(sys.argv[1])) as found:\n"
        "    print([found.get_history_item(n + 1) for n in range(found.get_current_history_length())])\n"
        "    found.add_history(sys.argv[2])\n"
    )
    said = [
        subprocess.run([sys.executable, "-c", code, history, word], capture_output=True, text=True, check=True).stdout
        for word in ("one", "two", "three")
    ]
    assert said == ["[]\n", "['one']\n", "['one', 'two']\n"]
    assert stat.S_IMODE(history.stat().st_mode) == 0o600


def test_where_nothing_can_be_kept_there_is_no_history_and_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with editor(tmp_path / "file" / "history") as found:
        assert found is not None
