"""Where the program lies, and the folder that it runs from."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fullbatch.layout import manifest, place
from fullbatch.layout.manifest import LaidOut


def laid_out(folder: Path) -> Path:
    (folder / "fullbatch" / "cli").mkdir(parents=True)
    manifest.write(folder, LaidOut("0.1.0", {}))
    return folder


def test_a_checkout_runs_from_itself() -> None:
    assert place.is_whole()
    assert place.root() == Path(__file__).resolve().parents[3]


def test_the_folder_is_found_from_anywhere_in_it(tmp_path: Path) -> None:
    folder = laid_out(tmp_path / "house")
    (folder / "reports" / "today").mkdir(parents=True)
    assert place.folder(folder) == folder
    assert place.folder(folder / "reports" / "today") == folder
    assert place.folder(tmp_path) is None


def test_the_code_of_another_user_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = laid_out(tmp_path / "house")
    owner = folder.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 4711)
    if owner == 0:  # root's folders are everybody's to use; give this one to somebody
        os.chown(folder, 4712, 0)
    with pytest.raises(place.Untrusted, match="the code in it would run as you"):
        place.folder(folder)
