"""The tokenizer in a GGUF file, and how answers are sampled and ended, in the files that Transformers reads."""

from __future__ import annotations

from typing import Any

from fullbatch.packaged.facts import NotHad

_CONTROL, _USER_DEFINED = 3, 4
# By llama.cpp's name of what cuts a text before it is tokenized (src/llama-vocab.cpp): whether digits stand alone.
_DIGITS_ALONE = {"smollm": True, "gpt-2": False}


def files(metadata: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """File name -> content, of all that belongs to the tokenizer; NotHad for a kind that is not known here."""
    said = {
        key.removeprefix("tokenizer.ggml."): value for key, value in metadata.items() if key.startswith("tokenizer.")
    }
    if said.get("model") != "gpt2" or said.get("pre") not in _DIGITS_ALONE:
        kind = f"{said.get('model')}/{said.get('pre')}"
        raise NotHad(
            f"the GGUF's tokenizer is of kind {kind}; known here: {', '.join(f'gpt2/{n}' for n in _DIGITS_ALONE)}"
        )
    return {
        "tokenizer.json": _tokenizer(said),
        "tokenizer_config.json": _config(said, metadata),
        "generation_config.json": _generation(said),
    }


def _tokenizer(said: dict[str, Any]) -> dict[str, Any]:
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    cut = [{"type": "Digits", "individual_digits": True}] if _DIGITS_ALONE[said["pre"]] else []
    kinds = said["token_type"]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": number, "content": text, "single_word": False, "lstrip": False, "rstrip": False,
             "normalized": False, "special": kinds[number] == _CONTROL}
            for number, text in enumerate(said["tokens"])
            if kinds[number] in (_CONTROL, _USER_DEFINED)
        ],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [*cut, byte_level]},
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": {text: number for number, text in enumerate(said["tokens"])},
            "merges": said["merges"],
        },
    }  # fmt: skip


def _config(said: dict[str, Any], metadata: dict[str, Any]) -> dict[str, Any]:
    named = {
        "bos_token": "bos_token_id",
        "eos_token": "eos_token_id",
        "unk_token": "unknown_token_id",
        "pad_token": "padding_token_id",
    }
    return {
        # By this class the file above is taken as it is; one of a family would cut numbers in its own way.
        "tokenizer_class": "PreTrainedTokenizerFast",
        **{name: said["tokens"][said[key]] for name, key in named.items() if key in said},
        "add_bos_token": bool(said.get("add_bos_token", False)),
        "model_max_length": metadata["llama.context_length"],
        "clean_up_tokenization_spaces": False,
        "chat_template": metadata["tokenizer.chat_template"],
    }


def _generation(said: dict[str, Any]) -> dict[str, Any]:
    named = ("bos_token_id", "eos_token_id")
    # How the page of SmolLM2-135M-Instruct itself asks it; a client that says nothing is answered so.
    return {**{name: said[name] for name in named}, "do_sample": True, "temperature": 0.2, "top_p": 0.9}
