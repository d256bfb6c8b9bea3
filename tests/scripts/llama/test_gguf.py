"""GGUF files: true shapes, random weights. The file is read back by the reader of packaged models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fullbatch.packaged import gguf as packaged
from scripts.llama import blocks, gguf

SMALL = {"hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 8, "vocab_size": 2048, "head_dim": 64}


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("quantised", [True, False])
def test_a_gguf_file_holds_what_its_list_says(directory: Path, tmp_path: Path, tied: bool, quantised: bool) -> None:
    config = json.loads((directory / "config.json").read_text())
    family = "qwen2" if tied else "llama"
    config |= SMALL | {
        "model_type": family,
        "tie_word_embeddings": tied,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    }
    small = tmp_path / "small"
    small.mkdir()
    (small / "config.json").write_text(json.dumps(config))
    tokenizer = json.loads((directory / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"] = {
        text: n for text, n in tokenizer["model"]["vocab"].items() if n < SMALL["vocab_size"]
    }
    (small / "tokenizer.json").write_text(json.dumps(tokenizer))
    (small / "tokenizer_config.json").write_text((directory / "tokenizer_config.json").read_text())
    gguf.write(small, tmp_path / "small.gguf", quantised)
    metadata, tensors, left = read_back(tmp_path / "small.gguf")
    assert metadata["general.architecture"] == family
    assert len(metadata["tokenizer.ggml.tokens"]) == SMALL["vocab_size"]
    assert ("output.weight" in tensors) is not tied
    assert ("blk.0.attn_q.bias" in tensors) is (family == "qwen2")
    kinds = {kind for _, kind in tensors.values()}
    assert kinds == ({blocks.F32.number, blocks.Q4_K.number, blocks.Q6_K.number} if quantised else {0, 1})
    assert tensors["blk.3.ffn_down.weight"][0] == (512, 256)
    assert left == 0


def read_back(path: Path) -> tuple[dict[str, Any], dict[str, tuple[tuple[int, ...], int]], int]:
    """Metadata, tensors (dimensions and kind), and how many bytes the file differs from what the list adds up to."""
    found = packaged.read(path)
    sizes = {kind.number: kind for kind in (blocks.F32, blocks.F16, blocks.Q4_K, blocks.Q6_K)}
    end = found.tensors[0].offset
    for one in found.tensors:
        assert one.offset == end, one.name
        rows = one.count // one.dimensions[0]
        end = one.offset + -(-sizes[one.kind].row_bytes(one.dimensions[0]) * rows // 32) * 32
    tensors = {one.name: (one.dimensions, one.kind) for one in found.tensors}
    return found.metadata, tensors, path.stat().st_size - end
