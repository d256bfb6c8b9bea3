"""Key and meta files."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtest.config import read_key, read_meta
from loadtest.errors import UsageProblem


def test_the_first_key_counts(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("# who\n\n  fb-one  \nfb-two\n")
    assert read_key(tmp_path / "keys") == "fb-one"
    assert read_key(None) is None


@pytest.mark.parametrize("text", ["", "# only a comment\n", "two words\n", "schlüssel\n"])
def test_a_file_without_a_usable_key_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "keys").write_text(text)
    with pytest.raises(UsageProblem) as refused:
        read_key(tmp_path / "keys")
    assert str(tmp_path / "keys") in str(refused.value)
    assert "two words" not in str(refused.value)


def test_meta_is_an_object(tmp_path: Path) -> None:
    path = tmp_path / "meta.json"
    path.write_text('{"gpu": "RTX 4090"}')
    assert read_meta(path) == {"gpu": "RTX 4090"}
    for wrong, expected in (("[1]", "object is expected"), ("{", "not JSON")):
        path.write_text(wrong)
        with pytest.raises(UsageProblem, match=expected):
            read_meta(path)
