"""A folder is laid out whole, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from fullbatch.layout import laying, listing, manifest, place

FILES = {"compose.yaml": b"name: x\n", "scripts/setup": b"#!/bin/sh\n", "profiles/cpu.yaml": b"users: 1\n"}


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What is laid out, instead of all of this checkout."""
    home = tmp_path / "wheel"
    for name, content in FILES.items():
        manifest.put(home / name, content)
    monkeypatch.setattr(listing, "sources", lambda _home: {name: home / name for name in sorted(FILES)})
    return home


@pytest.mark.parametrize("there", [True, False])
def test_an_empty_or_new_folder_gets_everything(tmp_path: Path, wheel: Path, there: bool) -> None:
    folder = tmp_path / "house"
    if there:
        folder.mkdir()
    assert laying.lay(folder, "0.1.0") == len(FILES)
    assert {name: (folder / name).read_bytes() for name in FILES} == FILES
    assert place.version(folder) == "0.1.0"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["house", wheel.name]


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path, wheel: Path) -> None:
    house = tmp_path / "house"
    house.mkdir()
    (house / "letter").write_text("mine")
    with pytest.raises(laying.CannotLay, match="is not empty"):
        laying.lay(house, "0.1.0")
    with pytest.raises(laying.CannotLay, match="is a file"):
        laying.lay(house / "letter", "0.1.0")
    assert [path.name for path in house.iterdir()] == ["letter"]
    assert wheel.is_dir()


def test_one_that_was_laid_out_is_sent_to_update(tmp_path: Path, wheel: Path) -> None:
    laying.lay(tmp_path / "house", "0.1.0")
    with pytest.raises(laying.CannotLay, match="was laid out by fullbatch 0.1.0.*init --update"):
        laying.lay(tmp_path / "house", "0.2.0")
    assert wheel.is_dir()


def test_half_a_folder_is_never_there(tmp_path: Path, wheel: Path) -> None:
    (wheel / "scripts/setup").unlink()
    with pytest.raises(FileNotFoundError):
        laying.lay(tmp_path / "house", "0.1.0")
    assert [path.name for path in tmp_path.iterdir()] == ["wheel"]
