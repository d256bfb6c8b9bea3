"""A whole small GGUF becomes a folder that Transformers and safetensors read."""

from __future__ import annotations

import json
import struct
import subprocess
from pathlib import Path

import pytest

from fullbatch.packaged import blocks, gguf
from tests.fullbatch.checkout import REPOSITORY
from tests.fullbatch.packaged import small
from tests.fullbatch.packaged.test_blocks import nearest, plain

_WRITE = (
    "import pathlib, sys; from fullbatch.packaged import checkpoint; checkpoint.write(*map(pathlib.Path, sys.argv[1:]))"
)
_READ = """
import json, sys
from safetensors import safe_open
with safe_open(sys.argv[1], "pt") as file:
    tensors = {name: file.get_tensor(name) for name in file.keys()}
print(json.dumps({name: [str(one.dtype), list(one.shape)] for name, one in tensors.items()}))
"""


def _engine(code: str, *words: str) -> str:
    command = [str(small.ENGINE), "-P", "-c", code, *words]
    environment = {"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


@pytest.mark.engine
def test_all_files_are_there_and_every_number_is_right(tmp_path: Path) -> None:
    source, out = tmp_path / "a.gguf", tmp_path / "out"
    source.write_bytes(small.gguf())
    out.mkdir()
    _engine(_WRITE, str(source), str(out))
    assert {path.name for path in out.iterdir()} == {
        "config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json", "model.safetensors",
    }  # fmt: skip
    assert json.loads((out / "config.json").read_text())["tie_word_embeddings"] is True
    seen = json.loads(_engine(_READ, str(out / "model.safetensors")))
    assert len(seen) == len(small.TENSORS)
    assert seen["model.embed_tokens.weight"] == ["torch.bfloat16", [len(small.TOKENS), small.HIDDEN]]
    assert seen["model.layers.0.mlp.down_proj.weight"] == ["torch.bfloat16", [small.HIDDEN, small.FFN]]
    assert _rows(out, "model.layers.0.self_attn.v_proj.weight") == _expected(source, "blk.0.attn_v.weight")
    queries = _expected(source, "blk.0.attn_q.weight")
    heads = [queries[:32], queries[32:]]
    assert _rows(out, "model.layers.0.self_attn.q_proj.weight") == [
        row for head in heads for row in (*head[0::2], *head[1::2])
    ]


def _rows(out: Path, name: str) -> list[bytes]:
    content = (out / "model.safetensors").read_bytes()
    size = struct.unpack("<Q", content[:8])[0]
    entry = json.loads(content[8 : 8 + size])[name]
    begin, end = (8 + size + at for at in entry["data_offsets"])
    width = entry["shape"][1] * 2
    return [content[at : at + width] for at in range(begin, end, width)]


def _expected(source: Path, name: str) -> list[bytes]:
    tensor = next(one for one in gguf.read(source).tensors if one.name == name)
    data = source.read_bytes()[tensor.offset :][: tensor.count // 32 * blocks.KINDS[tensor.kind].bytes]
    made = b"".join(struct.pack("<H", nearest(one)) for one in plain(tensor.kind, data))
    width = tensor.dimensions[0] * 2
    return [made[at : at + width] for at in range(0, len(made), width)]
