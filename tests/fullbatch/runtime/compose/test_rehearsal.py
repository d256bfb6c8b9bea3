"""A gateway on a copy of the keys: the real program, in folders instead of a container's."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from fullbatch.runtime import state_files
from fullbatch.runtime.compose import rehearsal
from gateway.keys.store import KeyStore
from gateway.keys.stored import Terms
from tests.fullbatch.checkout import REPOSITORY
from tests.ports import free_port


@pytest.fixture
def given(tmp_path: Path) -> dict[str, bytes]:
    """What stands in for the container's: a store with a key, the key file, and gateway.yaml on a free port."""
    store = KeyStore(tmp_path / "store")
    store.create("alice", Terms())
    store.close()
    port = free_port()
    settings = (REPOSITORY / "rendered/cpu-tiny/gateway.yaml").read_text()
    for old, new in {
        '"0.0.0.0", port: 8080': f'"127.0.0.1", port: {port}',
        '"0.0.0.0", port: 9091': f'"127.0.0.1", port: {free_port()}',
        "/run/fullbatch/": f"{tmp_path}/there/",
        "/var/lib/fullbatch/": f"{tmp_path}/there/",
    }.items():
        assert old in settings
        settings = settings.replace(old, new)
    (tmp_path / "there").mkdir()
    files = state_files.read(tmp_path) | {"api_keys": b"fb-" + b"x" * 32 + b" first\n"}
    return files | {"gateway.yaml": settings.encode(), "port": str(port).encode()}


def tried(given: dict[str, bytes], folder: Path) -> tuple[int, str]:
    """As `docker run` starts it, with the probe of that port."""
    text = Path(rehearsal.__file__).read_text()
    probe = f'"gateway.probe", "--url", "http://127.0.0.1:{given["port"].decode()}"'
    text = text.replace('"gateway.probe"', probe).replace("START_SECONDS = 60.0", "START_SECONDS = 20.0")
    files = {name: content for name, content in given.items() if name != "port"}
    answer = subprocess.run(
        [sys.executable, "-c", text, *[str(folder / "there")] * 3],
        cwd=REPOSITORY, input=state_files.packed(files), capture_output=True, check=False,
    )  # fmt: skip
    return answer.returncode, answer.stderr.decode()


def test_one_that_starts_and_keeps_every_key(given: dict[str, bytes], tmp_path: Path) -> None:
    assert tried(given, tmp_path) == (0, "")
    assert [one.partition(" ")[0] for one in rehearsal.names(tmp_path / "there/store")] == ["alice"]
    assert rehearsal.names(tmp_path / "nowhere") == [], "before the first key there is no store"


def test_a_newer_store_is_refused_in_one_line(given: dict[str, bytes], tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "store")) as connection:
        connection.execute("PRAGMA user_version = 99")
    code, said = tried(given | state_files.read(tmp_path), tmp_path)
    assert code == 1 and said.count("\n") == 1
    assert said.startswith("it ends at once with exit code 2: ")
    assert "is a key store of version 99, and this program knows " in said


def test_settings_that_it_does_not_know_are_told(given: dict[str, bytes], tmp_path: Path) -> None:
    code, said = tried(given | {"gateway.yaml": given["gateway.yaml"] + b"of_another_time: 1\n"}, tmp_path)
    assert code == 1 and said.count("\n") == 1 and "of_another_time" in said
