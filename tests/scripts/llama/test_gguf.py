"""GGUF files: true shapes, random weights. The file is read back by a reader of its own."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

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
    data, at = path.read_bytes(), 24
    count, entries = struct.unpack_from("<QQ", data, 8)

    def take(form: str) -> Any:
        nonlocal at
        (value,) = struct.unpack_from("<" + form, data, at)
        at += struct.calcsize("<" + form)
        return value

    def text() -> str:
        nonlocal at
        size = take("Q")
        at += size
        return data[at - size : at].decode()

    def value(kind: int) -> Any:
        if kind == 8:
            return text()
        if kind == 9:
            inner = take("I")
            return [value(inner) for _ in range(take("Q"))]
        return take({4: "I", 5: "i", 6: "f"}[kind])

    metadata = {}
    for _ in range(entries):
        key = text()
        metadata[key] = value(take("I"))
    tensors, end = {}, 0
    sizes = {kind.number: kind for kind in (blocks.F32, blocks.F16, blocks.Q4_K, blocks.Q6_K)}
    for _ in range(count):
        name = text()
        dimensions = tuple(take("Q") for _ in range(take("I")))
        kind, offset = take("I"), take("Q")
        assert offset == end
        rows = dimensions[1] if len(dimensions) > 1 else 1
        end = offset + -(-sizes[kind].row_bytes(dimensions[0]) * rows // 32) * 32
        tensors[name] = (dimensions, kind)
    begin = -(-at // 32) * 32
    return metadata, tensors, len(data) - begin - end
