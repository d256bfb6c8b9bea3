"""The tokenizer of a GGUF, read back by the library that the engine reads it with."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tokenizers import Tokenizer

from fullbatch.packaged import tokenizer
from fullbatch.packaged.facts import NotHad
from tests.fullbatch.packaged import small

METADATA: dict[str, Any] = {
    key: value[1] if isinstance(value, tuple) else value for key, (_, value) in small.METADATA.items()
}


def _read(metadata: dict[str, Any]) -> Tokenizer:
    return Tokenizer.from_str(json.dumps(tokenizer.files(metadata)["tokenizer.json"]))


def test_merges_digits_and_special_tokens() -> None:
    read = _read(METADATA | {"tokenizer.ggml.tokens": [*small.TOKENS, "a", "b", "11"],
                             "tokenizer.ggml.token_type": [3, 3, 3, *[1] * len(small.TOKENS)],
                             "tokenizer.ggml.merges": ["a b", "1 1"]})  # fmt: skip
    assert read.encode("<|im_start|>ab AB<|im_end|>").tokens == ["<|im_start|>", "ab", "Ġ", "A", "B", "<|im_end|>"]
    # smollm's digits stand alone, so that no merge of them comes to bear; GPT-2's do not.
    assert read.encode("113").tokens == ["1", "1", "3"]
    assert read.decode(read.encode("AB 12").ids) == "AB 12"


def test_gpt2_keeps_digits_together() -> None:
    read = _read(METADATA | {"tokenizer.ggml.pre": "gpt-2", "tokenizer.ggml.tokens": [*small.TOKENS, "11"],
                             "tokenizer.ggml.token_type": [3, 3, 3, *[1] * (len(small.TOKENS) - 2)],
                             "tokenizer.ggml.merges": ["1 1"]})  # fmt: skip
    assert read.encode("113").tokens == ["11", "3"]


def test_names_ends_and_sampling() -> None:
    files = tokenizer.files(METADATA)
    config = files["tokenizer_config.json"]
    assert (config["bos_token"], config["eos_token"], config["add_bos_token"]) == ("<|im_start|>", "<|im_end|>", False)
    assert config["chat_template"] == "{{ messages[0]['content'] }}"
    assert files["generation_config.json"]["eos_token_id"] == 2


@pytest.mark.parametrize("other", [{"tokenizer.ggml.model": "llama"}, {"tokenizer.ggml.pre": "llama-bpe"}])
def test_another_kind_is_refused(other: dict[str, str]) -> None:
    with pytest.raises(NotHad, match="tokenizer is of kind .*; known here: gpt2/smollm, gpt2/gpt-2"):
        tokenizer.files(METADATA | other)
