"""Model directories with random weights and the true shapes: config, tokenizer and, for llama.cpp, a quantised GGUF.

Speed depends on shapes, vocabulary and lengths, not on what the weights say; so nothing is downloaded.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fullbatch import catalog
from fullbatch.catalog import Model
from fullbatch.core.errors import UsageError
from fullbatch.runtime import tinymodel
from scripts.llama import gguf

# What the catalog does not hold, by the beginning of the repository's name. From the checkpoints' config.json.
_FAMILIES: dict[str, dict[str, Any]] = {
    "Qwen/Qwen2.5-1.5B": {
        "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "rope_theta": 1000000.0, "rms_norm_eps": 1e-6,
        "tie_word_embeddings": True,
    },
    "meta-llama/Llama-3.2-3B": {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "rope_theta": 500000.0, "rms_norm_eps": 1e-5,
        "tie_word_embeddings": True,
    },
    "meta-llama/Llama-3.1-8B": {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "rope_theta": 500000.0, "rms_norm_eps": 1e-5,
        "tie_word_embeddings": False,
    },
}  # fmt: skip


# Without its parser's word in the tokenizer vLLM does not start: Llama3JsonToolParser.
_PYTHON_TAG = "<|python_tag|>"

# As AutoAWQ writes it: groups of 128, for which vLLM takes Machete's kernels on Hopper and Marlin's before it.
_AWQ = {"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True, "version": "gemm"}


def directory(place: Path, name: str, precision: str = "bf16") -> Path:
    """Where the model `name` lies under `place`; a 4-bit checkpoint is a model of its own."""
    return place / (f"{name}-int4" if precision == "int4" else name)


def gguf_file(place: Path, name: str) -> Path:
    """Its weights for llama.cpp, 4 bit."""
    return place / f"{name}-q4_k_m.gguf"


def write(place: Path, name: str, repository: str, quantised: bool) -> None:
    """The directory of `repository`'s shapes, and the GGUF file where `quantised`; what is there already stays."""
    known = catalog.models()[repository]
    out = directory(place, name, known.precision)
    if not (out / "config.json").exists():
        if repository == "tiny":
            tinymodel.write_model(out)
        else:
            _write_directory(out, known, _family(known.base or repository))
    target = gguf_file(place, name)
    if quantised and not target.exists():
        gguf.write(out, target, quantised=repository != "tiny")


def _family(repository: str) -> dict[str, Any]:
    for begin, facts in _FAMILIES.items():
        if repository.startswith(begin):
            return facts
    raise UsageError(f"{repository}: its architecture is not written down here; there are: {', '.join(_FAMILIES)}")


def _write_directory(out: Path, model: Model, family: dict[str, Any]) -> None:
    tinymodel.write_model(out)
    config = tinymodel.CONFIG | family
    config |= {
        "hidden_size": model.hidden,
        "intermediate_size": model.ffn,
        "num_hidden_layers": model.layers,
        "num_attention_heads": model.heads,
        "num_key_value_heads": model.kv_heads,
        "head_dim": model.head_dim,
        "vocab_size": model.vocab,
        "max_position_embeddings": model.native_context,
    }
    if model.precision == "int4":
        config |= {"quantization_config": _AWQ, "torch_dtype": "float16"}
    _widen(out / "tokenizer.json", model.vocab)
    if family["model_type"] == "llama":
        _name_last(out / "tokenizer.json", _PYTHON_TAG)
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _widen(path: Path, vocab: int) -> None:
    """Entries up to the true size of the vocabulary: the engine picks any, and each must have a text."""
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    known = tokenizer["model"]["vocab"]
    for number in range(max(known.values(), default=-1) + 1, vocab):
        known.setdefault(f"\u0120v{number}", number)
    taken = {entry["id"] for entry in tokenizer["added_tokens"]}
    tokenizer["model"]["vocab"] = {text: number for text, number in known.items() if number not in taken} | {
        entry["content"]: entry["id"] for entry in tokenizer["added_tokens"]
    }
    path.write_text(json.dumps(tokenizer), encoding="utf-8")


def _name_last(path: Path, word: str) -> None:
    """The last number of the vocabulary becomes this special word."""
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    known = tokenizer["model"]["vocab"]
    last = max(known, key=known.__getitem__)
    number = known.pop(last)
    known[word] = number
    entry = {"id": number, "content": word, "special": True}
    tokenizer["added_tokens"].append(entry | dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False))
    path.write_text(json.dumps(tokenizer), encoding="utf-8")
