"""The file that `fullbatch peers` writes and the gateway reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config import peers_file
from gateway.config.loader import SettingsError, load
from tests.gateway.harness import write_config

PEER = {
    "name": "b", "url": "https://b:8443", "kind": "peer", "models": ["tiny"], "max_num_seqs": 1, "max_model_len": 64,
    "max_num_batched_tokens": 64, "kv_cache_tokens": 64, "key": "fb-0123456789abcdef",
}  # fmt: skip


def test_what_is_written_is_read_and_is_for_its_owner_only(tmp_path: Path) -> None:
    path = peers_file.beside(tmp_path / "store")
    assert peers_file.read(path) == []
    peers_file.write(path, [PEER])
    assert peers_file.read(path) == [PEER]
    assert path.stat().st_mode & 0o777 == 0o600
    config = write_config(tmp_path, ["http://127.0.0.1:1"], store=str(tmp_path / "store"))
    assert [(engine.name, engine.port) for engine in load(config).engines] == [("engine", 1), ("b", 8443)]
    assert str(PEER["key"]) not in repr(load(config))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("engines: 3", "holds no list 'engines:'; remove the file and add the peers again"),
        ("[", "line 1"),
        ("engines: [{name: engine}]", "engines[0].url: is missing"),
    ],
)
def test_p233_a_broken_one_is_refused_by_name(tmp_path: Path, content: str, said: str) -> None:
    path = peers_file.beside(tmp_path / "store")
    path.write_text(content)
    with pytest.raises(SettingsError) as error:
        load(write_config(tmp_path, ["http://127.0.0.1:1"], store=str(tmp_path / "store")))
    assert str(path) in error.value.lines[0]
    assert said in error.value.lines[0]


def test_p233_a_name_that_an_engine_has_is_refused(tmp_path: Path) -> None:
    peers_file.write(peers_file.beside(tmp_path / "store"), [PEER | {"name": "engine"}])
    with pytest.raises(SettingsError, match="an engine is called 'engine' too; rename one"):
        load(write_config(tmp_path, ["http://127.0.0.1:1"], store=str(tmp_path / "store")))
