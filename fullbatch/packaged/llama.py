"""A Llama in a GGUF file, in the names and the order of rows that Transformers and vLLM know it by."""

from __future__ import annotations

import re
import struct
from typing import Any

from fullbatch.packaged.facts import NotHad
from fullbatch.packaged.gguf import Tensor

_WHOLE = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_LAYER = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def config(metadata: dict[str, Any], tied: bool) -> dict[str, Any]:
    """What `config.json` says; NotHad for another architecture. `tied`: the embedding is the output head too."""
    architecture = metadata.get("general.architecture")
    if architecture != "llama":
        raise NotHad(f"the GGUF holds a '{architecture}'; only Llama's architecture is converted here")
    said = {key.removeprefix("llama."): value for key, value in metadata.items() if key.startswith("llama.")}
    tokens = {key.removeprefix("tokenizer.ggml."): value for key, value in metadata.items()}
    heads = said["attention.head_count"]
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "hidden_size": said["embedding_length"],
        "intermediate_size": said["feed_forward_length"],
        "num_hidden_layers": said["block_count"],
        "num_attention_heads": heads,
        "num_key_value_heads": said.get("attention.head_count_kv", heads),
        "head_dim": said["embedding_length"] // heads,
        "max_position_embeddings": said["context_length"],
        "rms_norm_eps": _short(said["attention.layer_norm_rms_epsilon"]),
        "rope_theta": _short(said.get("rope.freq_base", 10000.0)),
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": tied,
        "torch_dtype": "bfloat16",
        "vocab_size": len(tokens["tokens"]),
        "bos_token_id": tokens["bos_token_id"],
        "eos_token_id": tokens["eos_token_id"],
    }


def name_of(tensor: Tensor) -> str:
    """Its name there; NotHad for one that is not known."""
    if tensor.name in _WHOLE:
        return _WHOLE[tensor.name]
    found = re.fullmatch(r"blk\.(\d+)\.(\w+)\.weight", tensor.name)
    if found is None or found[2] not in _LAYER:
        raise NotHad(f"tensor {tensor.name} is none of a Llama's that are known here")
    return f"model.layers.{found[1]}.{_LAYER[found[2]]}.weight"


def rotated_heads(tensor: Tensor, config: dict[str, Any]) -> int | None:
    """How many heads' rows lie in llama.cpp's order for rotary positions; None for all that lies as it is there."""
    if ".attn_q." in tensor.name:
        return int(config["num_attention_heads"])
    return int(config["num_key_value_heads"]) if ".attn_k." in tensor.name else None


def in_halves(data: bytes, rows: int, heads: int) -> bytes:
    """Rows of a head that alternate between its two halves, first half first. `data`: `rows` rows of the same size."""
    width, head = len(data) // rows, rows // heads
    order = [one * head + 2 * pair + half for one in range(heads) for half in (0, 1) for pair in range(head // 2)]
    return b"".join([data[row * width : (row + 1) * width] for row in order])


def _short(number: float) -> float:
    """The shortest number that is the same in single precision: 1e-05 and not 9.999999747378752e-06."""
    for digits in range(1, 17):
        short = float(f"{number:.{digits}g}")
        if struct.pack("<f", short) == struct.pack("<f", number):
            return short
    return number
