"""From a GGUF file to the folder that vLLM serves: config, tokenizer, and the weights as bfloat16 safetensors."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any, BinaryIO

from fullbatch.packaged import blocks, gguf, llama, tokenizer
from fullbatch.packaged.gguf import Gguf, Tensor

WEIGHTS = "model.safetensors"
_BYTES = 2


def write(source: Path, out: Path) -> None:
    """Everything of `source` into the folder `out`; NotHad for what is not converted here, OSError where it cannot be
    written."""
    found = gguf.read(source)
    config = llama.config(found.metadata, tied=not any(one.name == "output.weight" for one in found.tensors))
    for name, content in {"config.json": config, **tokenizer.files(found.metadata)}.items():
        text = json.dumps(content, indent=None if name == "tokenizer.json" else 2, ensure_ascii=False)
        (out / name).write_text(text + "\n", encoding="utf-8")
    with (out / WEIGHTS).open("wb") as file:
        _weights(found, config, file)


def _weights(found: Gguf, config: dict[str, Any], file: BinaryIO) -> None:
    """The list of all tensors, then one after the other: a large model does not fit into memory twice."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    begin = 0
    for tensor in found.tensors:
        end = begin + tensor.count * _BYTES
        shape = list(reversed(tensor.dimensions))
        header[llama.name_of(tensor)] = {"dtype": "BF16", "shape": shape, "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    file.write(struct.pack("<Q", len(text)) + text)
    with found.path.open("rb") as source:
        for tensor in found.tensors:
            file.write(_converted(tensor, config, source))


def _converted(tensor: Tensor, config: dict[str, Any], source: BinaryIO) -> bytes:
    kind = blocks.kind_of(tensor.kind, tensor.name)
    source.seek(tensor.offset)
    data = blocks.bfloat16(kind, source.read(tensor.count // kind.numbers * kind.bytes))
    heads = llama.rotated_heads(tensor, config)
    return data if heads is None else llama.in_halves(data, tensor.dimensions[1], heads)
