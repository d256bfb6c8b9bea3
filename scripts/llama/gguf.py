"""Writes the tiny test model (fullbatch/tinymodel.py) as a GGUF file: the same shapes and tokenizer, random weights.

So llama.cpp computes what vLLM computes, on prompts of the same length in tokens. The format is GGUF 3:
github.com/ggml-org/ggml, docs/gguf.md.
"""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

_MAGIC, _VERSION, _ALIGNMENT = b"GGUF", 3, 32
_U32, _I32, _F32, _STRING, _ARRAY = 4, 5, 6, 8, 9
_TENSOR_F32, _TENSOR_F16 = 0, 1
_NORMAL, _CONTROL, _USER_DEFINED = 1, 3, 4
_DEVIATION = 0.02
_POOL = 1 << 16


def write(model: Path, out: Path) -> None:
    """From a model directory (its config, tokenizer and chat template) into one file, whole or not at all."""
    config = json.loads((model / "config.json").read_text())
    tokenizer = json.loads((model / "tokenizer.json").read_text())
    template = json.loads((model / "tokenizer_config.json").read_text())["chat_template"]
    metadata = [_entry(*one) for one in _metadata(config, tokenizer, template)]
    tensors = list(_tensors(config))
    partial = out.with_name(out.name + ".partial")
    with partial.open("wb") as file:
        file.write(_MAGIC + struct.pack("<IQQ", _VERSION, len(tensors), len(metadata)) + b"".join(metadata))
        _write_tensors(file, tensors)
    partial.replace(out)


def _metadata(config: dict[str, Any], tokenizer: dict[str, Any], template: str) -> Iterator[tuple[str, int, Any]]:
    yield "general.architecture", _STRING, "qwen2"
    yield "general.name", _STRING, "tiny, random weights"
    yield "qwen2.context_length", _U32, config["max_position_embeddings"]
    yield "qwen2.embedding_length", _U32, config["hidden_size"]
    yield "qwen2.block_count", _U32, config["num_hidden_layers"]
    yield "qwen2.feed_forward_length", _U32, config["intermediate_size"]
    yield "qwen2.attention.head_count", _U32, config["num_attention_heads"]
    yield "qwen2.attention.head_count_kv", _U32, config["num_key_value_heads"]
    yield "qwen2.attention.layer_norm_rms_epsilon", _F32, config["rms_norm_eps"]
    yield "qwen2.rope.freq_base", _F32, config["rope_theta"]
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


def _tensors(config: dict[str, Any]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name and dimensions, the innermost first. Vectors are written as ones (norms) or zeros (biases)."""
    hidden, ffn = config["hidden_size"], config["intermediate_size"]
    queries = config["num_attention_heads"] * config["head_dim"]
    keys = config["num_key_value_heads"] * config["head_dim"]
    yield "token_embd.weight", (hidden, config["vocab_size"])
    yield "output_norm.weight", (hidden,)
    for number in range(config["num_hidden_layers"]):
        block = f"blk.{number}"
        yield f"{block}.attn_norm.weight", (hidden,)
        yield f"{block}.ffn_norm.weight", (hidden,)
        for part, width in (("q", queries), ("k", keys), ("v", keys)):
            yield f"{block}.attn_{part}.weight", (hidden, width)
            yield f"{block}.attn_{part}.bias", (width,)
        yield f"{block}.attn_output.weight", (queries, hidden)
        yield f"{block}.ffn_gate.weight", (hidden, ffn)
        yield f"{block}.ffn_up.weight", (hidden, ffn)
        yield f"{block}.ffn_down.weight", (ffn, hidden)


def _write_tensors(file: BinaryIO, tensors: list[tuple[str, tuple[int, ...]]]) -> None:
    source, offset, contents = random.Random(0), 0, []
    pool = struct.pack(f"<{_POOL}e", *(source.gauss(0, _DEVIATION) for _ in range(_POOL)))
    for name, dimensions in tensors:
        data = _data(name, dimensions, pool, source)
        kind = _TENSOR_F32 if len(dimensions) == 1 else _TENSOR_F16
        shape = struct.pack(f"<I{len(dimensions)}Q", len(dimensions), *dimensions)
        file.write(_string(name) + shape + struct.pack("<IQ", kind, offset))
        contents.append(data + bytes(-len(data) % _ALIGNMENT))
        offset += len(contents[-1])
    file.write(bytes(-file.tell() % _ALIGNMENT))
    file.writelines(contents)


def _data(name: str, dimensions: tuple[int, ...], pool: bytes, source: random.Random) -> bytes:
    if len(dimensions) == 1:
        return struct.pack("<f", 0.0 if name.endswith(".bias") else 1.0) * dimensions[0]
    # Rows begin at random places of one pool of random numbers: a matrix of rank enough, without millions of draws.
    width = 2 * dimensions[0]
    starts = (2 * source.randrange((len(pool) - width) // 2) for _ in range(dimensions[1]))
    return b"".join(pool[start : start + width] for start in starts)


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
