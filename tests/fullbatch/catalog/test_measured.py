"""Folders as people have them on disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fullbatch.catalog import measured

MIB = 2**20
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 6425499648\n"


def _write(folder: Path, **files: int | bytes) -> Path:
    """Sparse files of so many bytes, or with this content; `_` is a dot."""
    for name, content in files.items():
        with (folder / name.replace("_safetensors", ".safetensors").replace("__", "-")).open("wb") as out:
            out.write(content) if isinstance(content, bytes) else out.truncate(content)
    return folder


def _header(data_bytes: int) -> bytes:
    text = json.dumps({"w": {"dtype": "BF16", "shape": [1], "data_offsets": [0, data_bytes]}}).encode()
    return len(text).to_bytes(8, "little") + text


def test_whole_without_an_index(tmp_path: Path) -> None:
    _write(tmp_path, model__00001__of__00002_safetensors=4 * MIB, model__00002__of__00002_safetensors=2 * MIB)
    assert measured.read(tmp_path).gib == 6 * MIB / 2**30


def test_the_same_weights_in_another_form_count_once(tmp_path: Path) -> None:
    _write(tmp_path, model_safetensors=4 * MIB, consolidated_safetensors=4 * MIB)
    assert measured.read(tmp_path).gib == 4 * MIB / 2**30


def test_a_pointer_of_git_lfs_is_no_weights(tmp_path: Path) -> None:
    found = measured.read(_write(tmp_path, model_safetensors=POINTER))
    assert (found.gib, "pointer of git-lfs" in found.doubt) == (0.0, True)


def test_half_a_download_is_none(tmp_path: Path) -> None:
    found = measured.read(_write(tmp_path, model__00001__of__00002_safetensors=4 * MIB))
    assert found.gib == 0.0
    assert "a shard (model-00001-of-00002.safetensors says there are 2)" in found.doubt


@pytest.mark.parametrize(("content", "said"), [(_header(1000) + bytes(10), "shorter"), (b"abc", "shorter")])
def test_a_file_that_was_cut_off_is_none(tmp_path: Path, content: bytes, said: str) -> None:
    assert said in measured.read(_write(tmp_path, model_safetensors=content)).doubt


def test_a_file_that_is_whole_by_its_header(tmp_path: Path) -> None:
    content = _header(10) + bytes(10)
    assert measured.read(_write(tmp_path, model_safetensors=content)).gib == len(content) / 2**30


def test_what_the_index_names_has_to_be_there(tmp_path: Path) -> None:
    _write(tmp_path, a_safetensors=MIB)
    index = {"metadata": {"total_size": 2 * MIB}, "weight_map": {"w": "a.safetensors", "v": "b.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    assert "b.safetensors" in measured.read(tmp_path).doubt
    _write(tmp_path, b_safetensors=10)
    assert "is shorter" in measured.read(tmp_path).doubt or "GiB" in measured.read(tmp_path).doubt


def test_an_index_alone_says_how_much_there_will_be(tmp_path: Path) -> None:
    index = {"metadata": {"total_size": 3 * 2**30}, "weight_map": {}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    assert measured.read(tmp_path).gib == 3


def test_nothing_is_nothing(tmp_path: Path) -> None:
    assert measured.read(tmp_path) == measured.Measured()
    assert measured.read(tmp_path / "none") == measured.Measured()
