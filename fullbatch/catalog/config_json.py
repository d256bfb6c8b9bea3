"""Reads a model that the catalog does not know from its own `config.json` (Hugging Face's format).

What is not understood is said in `notes` and taken on the safe side: attention on every layer, at full length.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fullbatch.catalog import Model, config_numbers
from fullbatch.catalog import layers as layers_module
from fullbatch.core.errors import UsageError

GIB = 2**30
# A config.json has some kilobytes; those with a list of labels a hundred.
_MOST_BYTES = 8 * 2**20
# GiB of weights that a checkpoint can have.
_MOST_GIB = 10**6
# Bytes of a linear layer's weight by precision; int4 in groups of 128 carries a scale and a zero point a group.
_LINEAR_BYTES = {"bf16": 2.0, "fp8": 1.0, "int8": 1.02, "int4": 0.53}
_QUANTISED = {"awq": "int4", "gptq": "int4", "fp8": "fp8", "fbgemm_fp8": "fp8", "mxfp4": "int4", "modelopt": "fp8"}
# Decoders whose memory follows the formulas here.
_KNOWN = (
    "Llama", "Mistral", "Mixtral", "Qwen2", "Qwen3", "Phi3", "Gemma", "Gemma2", "Gemma3", "DeepseekV2", "DeepseekV3",
    "GptOss", "Granite", "Olmo2", "StableLm", "Starcoder2", "Qwen2Moe", "Qwen3Moe", "Glm4", "Cohere", "Cohere2",
    "GraniteMoeHybrid", "Bamba", "Jamba", "FalconH1", "NemotronH", "Qwen3Next",
)  # fmt: skip


def read(path: Path) -> Model:
    """The model described by `path`, a config.json or the directory it lies in; UsageError when it describes none."""
    file = path / "config.json" if path.is_dir() else path
    try:
        with file.open("rb") as opened:
            text = opened.read(_MOST_BYTES + 1)
        if len(text) > _MOST_BYTES:
            raise UsageError(f"{file}: more than {_MOST_BYTES >> 20} MiB; give a model's config.json")
        data = json.loads(text)
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}; give a model's directory or its config.json") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file}: not JSON ({error}); give a model's config.json") from error
    if not isinstance(data, dict):
        raise UsageError(f"{file}: not a JSON object; give a model's config.json")
    return parse(data, file)


def parse(data: dict[str, Any], file: Path) -> Model:
    """The model whose config.json holds `data`; weights are measured beside `file` where they lie there."""
    text = data.get("text_config")
    facts = config_numbers.checked({**data, **text} if isinstance(text, dict) else data, file)
    layers, hidden, heads = (config_numbers.positive(facts, key, file) for key in _REQUIRED)
    head_dim = int(facts.get("head_dim") or hidden // heads)
    if not head_dim:
        raise UsageError(
            f"{file}: hidden_size {hidden} is less than num_attention_heads {heads}; correct one, or add head_dim"
        )
    kv_heads = int(facts.get("num_key_value_heads") or heads)
    try:
        kept = layers_module.read(facts, layers, _architecture(data)[1])
    except KeyError as error:  # of a kind of layer whose other keys are there
        raise UsageError(f"{file}: {error.args[0]} is missing; add it: models with such layers have it") from error
    parameters, embedding = _parameters(facts, layers, hidden, heads * head_dim, kv_heads * head_dim)
    precision, notes = _precision(data)
    notes += _doubts(data, facts)
    weights = {name: _weights(parameters, embedding, name) for name in ("bf16", "fp8", "int4", precision)}
    measured = _measured(file.parent)
    if measured:
        weights[precision] = measured
    elif notes:
        weights = {name: gib * 1.1 for name, gib in weights.items()}
        notes += ("10 % were added to the reckoned weights for what is not understood",)
    return Model(
        name=str(file.parent if file.name == "config.json" else file),
        title=_architecture(data)[0],
        layers=layers, hidden=hidden, heads=heads, kv_heads=kv_heads, head_dim=head_dim,
        vocab=int(facts.get("vocab_size") or 0), native_context=_native(facts), weights_gib=weights,
        ffn=int(facts.get("intermediate_size") or 4 * hidden), params_b=round(parameters / 1e9, 2), precision=precision,
        kv_latent=kept.kv_latent, experts=_experts(facts), sliding_window=kept.sliding_window,
        sliding_layers=kept.sliding_layers, state_layers=kept.state_layers, state_bytes=kept.state_bytes,
        state_blocks=kept.state_blocks, kv_layers=kept.kv_layers, source=str(file), notes=notes,
    )  # fmt: skip


_REQUIRED = ("num_hidden_layers", "hidden_size", "num_attention_heads")


def _native(facts: dict[str, Any]) -> int:
    scaling = facts.get("rope_scaling") or facts.get("rope_parameters") or {}
    kind = scaling.get("rope_type", scaling.get("type")) if isinstance(scaling, dict) else None
    if kind == "longrope":  # as vLLM: the length without the extension (vllm/config/model.py)
        within = scaling.get("original_max_position_embeddings")
        original = facts.get("original_max_position_embeddings") or within
        if isinstance(original, int) and original > 0:
            return original
    return int(facts.get("max_position_embeddings") or 4096)


def _parameters(facts: dict[str, Any], layers: int, hidden: int, q: int, kv: int) -> tuple[float, float]:
    """All parameters, and those of embedding and output head (which stay at 16 bit when the rest is quantised)."""
    embedding = float(facts.get("vocab_size") or 0) * hidden * (1 if facts.get("tie_word_embeddings") else 2)
    attention = 2 * hidden * q + 2 * hidden * kv
    if facts.get("kv_lora_rank"):  # MLA: below the uncompressed figure, so never too little
        attention = min(attention, 4 * hidden * q)
    dense = 3 * hidden * int(facts.get("intermediate_size") or 4 * hidden)
    experts = _experts(facts)
    if not experts:
        return embedding + layers * (attention + dense), embedding
    width = int(facts.get("moe_intermediate_size") or facts.get("intermediate_size") or hidden)
    shared = int(facts.get("n_shared_experts") or 0) * width + int(facts.get("shared_expert_intermediate_size") or 0)
    first = min(layers, int(facts.get("first_k_dense_replace") or 0))
    expert_layer = 3 * hidden * (experts * width + shared) + hidden * experts
    return embedding + layers * attention + first * dense + (layers - first) * expert_layer, embedding


def _experts(facts: dict[str, Any]) -> int:
    names = ("num_local_experts", "n_routed_experts", "num_experts")
    return int(next((facts[name] for name in names if facts.get(name)), 0))


def _weights(parameters: float, embedding: float, precision: str) -> float:
    return ((parameters - embedding) * _LINEAR_BYTES[precision] + embedding * 2) / GIB


def _precision(data: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    settings = data.get("quantization_config")
    if not isinstance(settings, dict):
        return "bf16", ()
    method = str(settings.get("quant_method", ""))
    bits = settings.get("bits") or settings.get("w_bit") or _compressed_bits(settings)
    if bits == 8:
        return ("fp8" if "float" in json.dumps(settings) else "int8"), ()
    if bits == 4:
        return "int4", ()
    if method in _QUANTISED:
        return _QUANTISED[method], ()
    return "bf16", (f"quantisation '{method}' is not known here: weights taken at 16 bit",)


def _compressed_bits(settings: dict[str, Any]) -> Any:
    groups = settings.get("config_groups")
    first: Any = next(iter(groups.values()), {}) if isinstance(groups, dict) else {}
    weights = first.get("weights") if isinstance(first, dict) else None
    return weights.get("num_bits") if isinstance(weights, dict) else None


def _architecture(data: dict[str, Any]) -> tuple[str, bool]:
    """Its name, and whether its memory follows the formulas here."""
    named = data.get("architectures")
    name = str(named[0]) if isinstance(named, list) and named else "(none named)"
    return name, name.removesuffix("ForCausalLM").removesuffix("ForConditionalGeneration") in _KNOWN


def _doubts(data: dict[str, Any], facts: dict[str, Any]) -> tuple[str, ...]:
    name, known = _architecture(data)
    found = []
    if not known:
        found.append(f"the architecture {name} is not known here: sized as a plain decoder that keeps every token")
    if layers_module.keeps_state(facts) and not layers_module.read(facts, 1, known).state_bytes:
        found.append("some layers keep a state of a size not known here: sized as if every layer kept a KV cache")
    return tuple(found)


def _measured(folder: Path) -> float:
    """GiB of the weight files beside config.json; 0 when there are none, or not all of them."""
    index = folder / "model.safetensors.index.json"
    try:
        if index.exists():
            total = float(json.loads(index.read_text(encoding="utf-8"))["metadata"]["total_size"]) / GIB
            return total if 0 < total < _MOST_GIB else 0.0
        return sum(file.stat().st_size for file in folder.glob("*.safetensors")) / GIB
    except (OSError, ValueError, KeyError, TypeError, RecursionError, OverflowError):
        return 0.0
