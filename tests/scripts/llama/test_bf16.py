"""A quantised GGUF as bfloat16: read back by a reader of its own, and the same numbers that vLLM gets."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import pytest

from fullbatch.packaged import blocks, gguf
from tests.fullbatch.checkout import REPOSITORY
from tests.fullbatch.packaged import small
from tests.fullbatch.packaged.test_blocks import nearest, plain


@pytest.mark.engine
def test_the_same_numbers_and_nothing_else(tmp_path: Path) -> None:
    source, out = tmp_path / "a.gguf", tmp_path / "b.gguf"
    source.write_bytes(small.gguf(small.METADATA | {"general.file_type": (4, 3)}))
    words = [str(small.ENGINE), "-P", "-m", "scripts.llama.bf16", str(source), str(out)]
    subprocess.run(words, env={"PYTHONPATH": str(REPOSITORY)}, check=True)
    before, after = gguf.read(source), gguf.read(out)
    assert after.metadata == before.metadata | {"general.file_type": 32}
    assert [(one.name, one.dimensions) for one in after.tensors] == [
        (one.name, one.dimensions) for one in before.tensors
    ]
    content = out.read_bytes()
    for old, new in zip(before.tensors, after.tensors, strict=True):
        kind = blocks.KINDS[old.kind]
        data = source.read_bytes()[old.offset :][: old.count // kind.numbers * kind.bytes]
        assert (new.kind, new.offset % 32) == (0 if old.kind == 0 else 30, 0)
        if old.kind == 0:
            assert content[new.offset :][: len(data)] == data
        else:
            wanted = b"".join(struct.pack("<H", nearest(one)) for one in plain(old.kind, data))
            assert content[new.offset :][: len(wanted)] == wanted
    assert not list(tmp_path.glob("*.partial"))
