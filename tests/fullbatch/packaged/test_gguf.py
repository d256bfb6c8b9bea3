"""GGUF files as they are, cut off, and of another kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from fullbatch.packaged import gguf
from fullbatch.packaged.facts import NotHad
from tests.fullbatch.packaged import small


def _file(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "a.gguf"
    path.write_bytes(content)
    return path


def test_everything_is_read(tmp_path: Path) -> None:
    content = small.gguf()
    found = gguf.read(_file(tmp_path, content))
    assert found.metadata["tokenizer.ggml.tokens"] == small.TOKENS
    assert found.metadata["tokenizer.ggml.add_bos_token"] is False
    assert found.metadata["llama.rope.freq_base"] == 100000.0
    assert [(one.name, one.dimensions, one.kind) for one in found.tensors] == small.TENSORS
    assert all(one.offset % 32 == 0 for one in found.tensors)
    last = found.tensors[-1]
    assert last.offset + last.count // 32 * 20 == len(content.rstrip(b"\0")) + (
        len(content) - len(content.rstrip(b"\0"))
    )


@pytest.mark.parametrize("size", [3, 10, 100, 700])
def test_a_file_that_is_cut_off_is_one_line(tmp_path: Path, size: int) -> None:
    with pytest.raises(NotHad, match=r"a\.gguf: (ends too early or is damaged|is no GGUF)"):
        gguf.read(_file(tmp_path, small.gguf()[:size]))


@pytest.mark.parametrize("content", [b"PK\x03\x04" + bytes(60), b"GGUF\x02" + bytes(60)])
def test_another_kind_of_file_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(NotHad, match="no GGUF file of version 3"):
        gguf.read(_file(tmp_path, content))
