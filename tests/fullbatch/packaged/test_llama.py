"""Names, config and the order of rows."""

from __future__ import annotations

from typing import Any

import pytest

from fullbatch.packaged import llama
from fullbatch.packaged.facts import NotHad
from fullbatch.packaged.gguf import Tensor
from tests.fullbatch.packaged import small

METADATA: dict[str, Any] = {key: value for key, (_, value) in small.METADATA.items()} | {
    "tokenizer.ggml.tokens": small.TOKENS,
    # As it stands in a file, in single precision.
    "llama.attention.layer_norm_rms_epsilon": 9.999999747378752e-06,
}


def _tensor(name: str) -> Tensor:
    return Tensor(name, (64, 64), 0, 0)


def test_config() -> None:
    found = llama.config(METADATA, tied=True)
    assert (found["hidden_size"], found["num_attention_heads"], found["num_key_value_heads"]) == (64, 2, 1)
    assert (found["head_dim"], found["vocab_size"], found["tie_word_embeddings"]) == (32, len(small.TOKENS), True)
    assert (found["rms_norm_eps"], found["rope_theta"]) == (1e-05, 100000.0)
    assert (found["bos_token_id"], found["eos_token_id"]) == (1, 2)


def test_another_architecture_is_refused() -> None:
    with pytest.raises(NotHad, match="holds a 'qwen2'; only Llama's"):
        llama.config(METADATA | {"general.architecture": "qwen2"}, tied=True)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("token_embd.weight", "model.embed_tokens.weight"),
        ("output.weight", "lm_head.weight"),
        ("blk.29.attn_q.weight", "model.layers.29.self_attn.q_proj.weight"),
        ("blk.0.attn_output.weight", "model.layers.0.self_attn.o_proj.weight"),
        ("blk.3.ffn_norm.weight", "model.layers.3.post_attention_layernorm.weight"),
        ("blk.3.ffn_gate.weight", "model.layers.3.mlp.gate_proj.weight"),
    ],
)
def test_names(theirs: str, ours: str) -> None:
    assert llama.name_of(_tensor(theirs)) == ours


@pytest.mark.parametrize("name", ["rope_freqs.weight", "blk.0.attn_q.bias", "blk.0.ffn_gate_inp.weight"])
def test_a_name_that_is_not_known_is_told(name: str) -> None:
    with pytest.raises(NotHad, match="none of a Llama's"):
        llama.name_of(_tensor(name))


def test_rows_of_query_and_key_go_back_to_halves() -> None:
    """llama.cpp puts the two numbers that are turned together side by side: its converter does the reverse of this."""
    heads, half = 3, 4
    rows = [bytes([head, part, number]) for head in range(heads) for part in (0, 1) for number in range(half)]
    theirs = [rows[head * 2 * half + part * half + number]
              for head in range(heads) for number in range(half) for part in (0, 1)]  # fmt: skip
    assert theirs != rows
    assert llama.in_halves(b"".join(theirs), len(rows), heads) == b"".join(rows)


def test_which_rows() -> None:
    config = llama.config(METADATA, tied=True)
    assert llama.rotated_heads(_tensor("blk.0.attn_q.weight"), config) == 2
    assert llama.rotated_heads(_tensor("blk.0.attn_k.weight"), config) == 1
    assert llama.rotated_heads(_tensor("blk.0.attn_v.weight"), config) is None
    assert llama.rotated_heads(_tensor("blk.0.attn_output.weight"), config) is None
