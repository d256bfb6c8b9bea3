"""Reading what a person named."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtest.core.errors import UsageProblem
from loadtest.core.files import read_text


def test_a_text_comes_whole_and_without_its_mark(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes("\ufeffGrüße\n".encode())
    assert read_text(tmp_path / "a", "--file") == "Grüße\n"


def test_an_endless_device_and_a_huge_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "huge").write_bytes(b"a" * (1 << 20) + b"b")
    for path in (Path("/dev/zero"), tmp_path / "huge"):
        with pytest.raises(UsageProblem, match=f"--file {path}: more than 1 MiB"):
            read_text(path, "--file")
