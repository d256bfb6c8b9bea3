"""Writes a model directory as a GGUF file: the same shapes and tokenizer, random weights (the tiny test model's too).

So llama.cpp computes what vLLM computes, on prompts of the same length in tokens. The format is GGUF 3:
github.com/ggml-org/ggml, docs/gguf.md. Weights are 16 bit, or blocks as llama.cpp's Q4_K_M has them (`blocks`).
"""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from scripts.llama import blocks
from scripts.llama.blocks import WeightFormat

_MAGIC, _VERSION, _ALIGNMENT = b"GGUF", 3, 32
_U32, _I32, _F32, _STRING, _ARRAY = 4, 5, 6, 8, 9
_NORMAL, _CONTROL, _USER_DEFINED = 1, 3, 4
# llama.cpp's name of an architecture, by transformers' name of it.
_ARCHITECTURES = {"qwen2": "qwen2", "llama": "llama"}


def write(model: Path, out: Path, quantised: bool = False) -> None:
    """From a model directory (its config, tokenizer and chat template) into one file, whole or not at all."""
    config = json.loads((model / "config.json").read_text())
    tokenizer = json.loads((model / "tokenizer.json").read_text())
    template = json.loads((model / "tokenizer_config.json").read_text())["chat_template"]
    metadata = [_entry(*one) for one in _metadata(config, tokenizer, template)]
    tensors = list(_tensors(config, quantised))
    partial = out.with_name(out.name + ".partial")
    with partial.open("wb") as file:
        file.write(_MAGIC + struct.pack("<IQQ", _VERSION, len(tensors), len(metadata)) + b"".join(metadata))
        _write_tensors(file, tensors)
    partial.replace(out)


def _metadata(config: dict[str, Any], tokenizer: dict[str, Any], template: str) -> Iterator[tuple[str, int, Any]]:
    kind = _ARCHITECTURES[config["model_type"]]
    yield "general.architecture", _STRING, kind
    yield "general.name", _STRING, "random weights"
    yield f"{kind}.context_length", _U32, config["max_position_embeddings"]
    yield f"{kind}.embedding_length", _U32, config["hidden_size"]
    yield f"{kind}.block_count", _U32, config["num_hidden_layers"]
    yield f"{kind}.feed_forward_length", _U32, config["intermediate_size"]
    yield f"{kind}.attention.head_count", _U32, config["num_attention_heads"]
    yield f"{kind}.attention.head_count_kv", _U32, config["num_key_value_heads"]
    yield f"{kind}.attention.layer_norm_rms_epsilon", _F32, config["rms_norm_eps"]
    yield f"{kind}.rope.freq_base", _F32, config["rope_theta"]
    tokens = {number: (text, _NORMAL) for text, number in tokenizer["model"]["vocab"].items()}
    for added in tokenizer["added_tokens"]:
        tokens[added["id"]] = (added["content"], _CONTROL if added["special"] else _USER_DEFINED)
    merges = [one if isinstance(one, str) else " ".join(one) for one in tokenizer["model"]["merges"]]
    yield "tokenizer.ggml.model", _STRING, "gpt2"
    yield "tokenizer.ggml.pre", _STRING, "gpt-2"
    yield "tokenizer.ggml.tokens", _ARRAY, (_STRING, [tokens[number][0] for number in range(len(tokens))])
    yield "tokenizer.ggml.token_type", _ARRAY, (_I32, [tokens[number][1] for number in range(len(tokens))])
    yield "tokenizer.ggml.merges", _ARRAY, (_STRING, merges)
    yield "tokenizer.ggml.bos_token_id", _U32, config["bos_token_id"]
    yield "tokenizer.ggml.eos_token_id", _U32, config["eos_token_id"]
    yield "tokenizer.chat_template", _STRING, template


def _tensors(config: dict[str, Any], quantised: bool) -> Iterator[tuple[str, tuple[int, ...], WeightFormat]]:
    """Name, dimensions (the innermost first) and kind. Vectors are written as ones (norms) or zeros (biases)."""
    hidden, ffn, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]

    def matrix(name: str, layer: int) -> WeightFormat:
        return blocks.q4_k_m(name, layer, layers) if quantised else blocks.F16

    queries = config["num_attention_heads"] * config["head_dim"]
    keys = config["num_key_value_heads"] * config["head_dim"]
    tied = config["tie_word_embeddings"]
    yield "token_embd.weight", (hidden, config["vocab_size"]), matrix("output" if tied else "token_embd", 0)
    yield "output_norm.weight", (hidden,), blocks.F32
    if not tied:
        yield "output.weight", (hidden, config["vocab_size"]), matrix("output", 0)
    for number in range(layers):
        block = f"blk.{number}"
        yield f"{block}.attn_norm.weight", (hidden,), blocks.F32
        yield f"{block}.ffn_norm.weight", (hidden,), blocks.F32
        for part, width in (("q", queries), ("k", keys), ("v", keys)):
            yield f"{block}.attn_{part}.weight", (hidden, width), matrix(f"attn_{part}", number)
            if config["model_type"] == "qwen2":
                yield f"{block}.attn_{part}.bias", (width,), blocks.F32
        yield f"{block}.attn_output.weight", (queries, hidden), matrix("attn_output", number)
        yield f"{block}.ffn_gate.weight", (hidden, ffn), matrix("ffn_gate", number)
        yield f"{block}.ffn_up.weight", (hidden, ffn), matrix("ffn_up", number)
        yield f"{block}.ffn_down.weight", (ffn, hidden), matrix("ffn_down", number)


def _write_tensors(file: BinaryIO, tensors: list[tuple[str, tuple[int, ...], WeightFormat]]) -> None:
    """The list of all tensors, then their data one after the other: a large model does not fit into memory."""
    offset, padding = 0, []
    for name, dimensions, kind in tensors:
        shape = struct.pack(f"<I{len(dimensions)}Q", len(dimensions), *dimensions)
        file.write(_string(name) + shape + struct.pack("<IQ", kind.number, offset))
        size = kind.row_bytes(dimensions[0]) * (dimensions[1] if len(dimensions) > 1 else 1)
        padding.append(-size % _ALIGNMENT)
        offset += size + padding[-1]
    file.write(bytes(-file.tell() % _ALIGNMENT))
    source = random.Random(0)
    pools = {kind: blocks.pool(kind, source) for kind in {kind for _, _, kind in tensors} - {blocks.F32}}
    for (name, dimensions, kind), left in zip(tensors, padding, strict=True):
        if kind is blocks.F32:
            file.write(struct.pack("<f", 0.0 if name.endswith(".bias") else 1.0) * dimensions[0])
        else:
            file.writelines(blocks.rows(kind, dimensions, pools[kind], source))
        file.write(bytes(left))


def _entry(key: str, kind: int, value: Any) -> bytes:
    return _string(key) + struct.pack("<I", kind) + _value(kind, value)


def _value(kind: int, value: Any) -> bytes:
    if kind == _STRING:
        return _string(value)
    if kind == _ARRAY:
        inner, items = value
        return struct.pack("<IQ", inner, len(items)) + b"".join(_value(inner, item) for item in items)
    return struct.pack({_U32: "<I", _I32: "<i", _F32: "<f"}[kind], value)


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data
