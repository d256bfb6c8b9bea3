"""Reading what a person named: each fault is one line, to be told behind the file's name."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.text_file import MAX_BYTES, Unreadable, read_text


def test_a_text_comes_whole_and_without_its_mark(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes("\ufeffGrüße\n".encode())
    assert read_text(tmp_path / "a") == "Grüße\n"
    (tmp_path / "full").write_bytes(b"a" * MAX_BYTES)
    assert len(read_text(tmp_path / "full")) == MAX_BYTES


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"\x7fELF\x02\x01\x01\x00\xff", "cannot be read (byte 8 is not UTF-8 text)"),
        (b"\xff\xfea\x00", "cannot be read (byte 0 is not UTF-8 text)"),
        (b"#" * (MAX_BYTES + 1), "is larger than 1 MiB"),
    ],
)
def test_what_is_no_text_or_too_long_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(Unreadable) as refused:
        read_text(tmp_path / "a")
    assert str(refused.value) == why


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("/", "cannot be read (is a directory)"),
        ("/no/such/file", "cannot be read (no such file or directory)"),
        ("/tmp/\0", "cannot be read (embedded null byte)"),
        ("/dev/zero", "is larger than 1 MiB"),
    ],
)
def test_what_cannot_be_read_is_refused(name: str, why: str) -> None:
    with pytest.raises(Unreadable) as refused:
        read_text(Path(name))
    assert str(refused.value) == why
