"""What the process runtime keeps of every profile that has run here."""

from __future__ import annotations

from pathlib import Path

import pytest

from fullbatch.core.errors import HostError
from fullbatch.runtime.process.runtime import ProcessRuntime
from gateway.keys.schema import VERSION
from gateway.keys.store import KeyStore
from tests.fullbatch.checkout import REPOSITORY


def test_keys_and_usage_of_each_profile_go_out_and_come_back(tmp_path: Path) -> None:
    runtime = ProcessRuntime()
    assert runtime.kept_state(tmp_path) == {}
    for name in ("one", "two"):
        folder = tmp_path / ".fullbatch" / "run" / name
        folder.mkdir(parents=True)
        (folder / "api_keys").write_text(f"fb-{name} first\n")
    KeyStore(folder / "store").close()
    found = runtime.kept_state(tmp_path)
    assert sorted(found) == ["one/api_keys", "two/api_keys", "two/store"]
    runtime.put_state(tmp_path / "elsewhere", found)
    there = tmp_path / "elsewhere/.fullbatch/run"
    assert {name: (there / name).read_bytes() for name in found} == found
    assert (tmp_path / "elsewhere/.fullbatch/run/two").stat().st_mode & 0o777 == 0o700


def test_a_broken_store_is_one_line(tmp_path: Path) -> None:
    folder = tmp_path / ".fullbatch" / "run" / "one"
    folder.mkdir(parents=True)
    (folder / "store").write_bytes(b"x" * 4096)
    with pytest.raises(HostError, match=r"one/store: cannot be read \(file is not a database\)"):
        ProcessRuntime().kept_state(tmp_path)


def test_the_gateway_says_which_stores_it_knows(tmp_path: Path) -> None:
    assert ProcessRuntime().store_version(REPOSITORY) == VERSION
    (tmp_path / "gateway").mkdir()
    (tmp_path / "gateway" / "__init__.py").write_text("raise SystemExit(1)")
    assert ProcessRuntime().store_version(tmp_path) is None
