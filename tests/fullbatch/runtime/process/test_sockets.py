from __future__ import annotations

import stat
from pathlib import Path

import pytest

from fullbatch.runtime.process import sockets


@pytest.mark.parametrize("deep", [False, True])
def test_a_folder_that_only_we_enter_and_whose_sockets_names_fit(
    deep: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = Path("/tmp") / f"fb-{tmp_path.name[-8:]}"
    short.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(short))
    run_folder = tmp_path / ("d" * 100) if deep else short / "run"
    run_folder.mkdir()
    (run_folder / "ipc").mkdir()
    (run_folder / "ipc" / "left").touch()
    folder = sockets.make(run_folder)
    try:
        assert (folder.parent == run_folder) != deep
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert list(folder.iterdir()) == [], "what a killed run left is gone"
        address = sockets.address(folder, "engine-2")
        assert sockets.path_of(address) == f"{folder}/engine-2.sock"
        assert len(f"{folder}/engine-2.sock") <= sockets.LONGEST_PATH
    finally:
        sockets.remove(str(folder))
        sockets.remove(str(short))
    assert not folder.exists()


def test_what_is_no_sockets_address() -> None:
    assert sockets.path_of("http://127.0.0.1:8100") is None
    sockets.remove("")  # of a deployment that had none: nothing happens
