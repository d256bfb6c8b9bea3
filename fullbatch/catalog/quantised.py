"""How a checkpoint is quantised, read from its config.json: bits of what is, and which parts stay at 16 bit.

Embeddings, the output head and what sees or hears are taken as 16 bit: engines load them so with nearly every method.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeGuard

from fullbatch.catalog import read as read_file
from fullbatch.catalog.parameters import Parameters

HALF = 2.0
# Parts of a decoder by what their modules are called in lists of what is not converted.
_MODULES = {
    "attention": re.compile(r"self_attn|\battn\b|attention|q_proj|k_proj|v_proj|o_proj|qkv"),
    "states": re.compile(r"linear_attn|mamba|mixer|\bconv"),
    "dense": re.compile(r"shared_expert|mlp\.(gate|up|down)_proj|feed_forward|\bmlp$"),
    "experts": re.compile(r"(?<!shared_)\bexperts\b"),
}
_LISTS = ("modules_to_not_convert", "ignore", "exclude_modules", "ignored_layers", "llm_int8_skip_modules")
_PLACE = re.compile(r"layers\.(\d+)\.")
_EVERYWHERE = re.compile(r"[*]|re:|^[a-z_.]+$")
# Bits of a weight by quant_method, or by the algorithm ModelOpt names; scales included.
_FP4, _MXFP4, _NF4 = 4.5, 4.25, 4.127
# What an engine's method takes over under another name (override_quantization_method in vLLM's inc.py).
_ALSO = {"auto-round", "auto_round"}
_EIGHT = {"fp8", "fbgemm_fp8", "modelopt", "ptpc_fp8", "torchao", "quark"}


@dataclass(frozen=True)
class Quantisation:
    """`precision` of the linear layers (bf16, fp8, int8, int4, nvfp4, mxfp4) at `bits` a parameter; `whole`: which
    share of a part stays at 16 bit; `kv_dtype`: what the cache is to be kept in; `doubt`: what is not known;
    `foreign`: the method, where the engine has none of that name."""

    precision: str = "bf16"
    bits: float = 16.0
    whole: dict[str, float] = field(default_factory=dict)
    kv_dtype: str = ""
    doubt: str = ""
    foreign: str = ""


# What the linear layers of a 16-bit checkpoint would be at other precisions, in groups of 128 where there are groups.
AT = {
    "bf16": Quantisation(),
    "fp8": Quantisation("fp8", 8.0),
    "int8": Quantisation("int8", 8.16),
    "int4": Quantisation("int4", 4.16),
}


def read(data: dict[str, Any], layers: int) -> Quantisation:
    """The quantisation that a config.json describes, of a decoder with so many `layers`."""
    settings = data.get("quantization_config") or data.get("compression_config")
    if not settings:
        return Quantisation()
    if not isinstance(settings, dict):
        return Quantisation(
            doubt="quantization_config is no object: weights taken at 16 bit, and the engine may not start"
        )
    method = str(settings.get("quant_method") or "").lower()
    precision, bits, doubt = _bits(settings, method)
    whole = _kept_whole(settings, layers)
    if method in ("mxfp4", "gpt_oss_mxfp4"):  # of the experts only (layers/quantization/mxfp4.py)
        whole |= {"attention": 1.0, "dense": 1.0, "states": 1.0}
    foreign = method if method and method not in methods() | _ALSO else ""
    return Quantisation(precision, bits, whole, _cache(settings), doubt, foreign)


@cache
def methods() -> frozenset[str]:
    """What the pinned engine takes as `quant_method` (engine_registries.yaml)."""
    return frozenset(read_file("engine_registries.yaml")["quantisation"])


def beside(data: dict[str, Any], text: str | None) -> None:
    """Put what ModelOpt writes into a file of its own (`text` of hf_quant_config.json) where others write it."""
    if not text or isinstance(data.get("quantization_config"), dict):
        return
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return
    inner = found.get("quantization") if isinstance(found, dict) else None
    if isinstance(inner, dict):
        data["quantization_config"] = {"quant_method": "modelopt", **inner}


def gib(parameters: Parameters, quantisation: Quantisation) -> float:
    """GiB of the weights as they lie on the cards, all cards together."""
    narrow = quantisation.bits / 8
    found = (parameters.embedding + parameters.tower) * HALF
    for part in ("attention", "states", "dense", "experts"):
        share = quantisation.whole.get(part, 0.0)
        found += getattr(parameters, part) * (share * HALF + (1 - share) * narrow)
    return found / 2**30


def _bits(settings: dict[str, Any], method: str) -> tuple[str, float, str]:
    """Precision, bits a parameter, and what is not known."""
    if method == "bitsandbytes" or "load_in_4bit" in settings:
        if settings.get("load_in_4bit") or settings.get("_load_in_4bit"):
            return "int4", _NF4 if settings.get("bnb_4bit_use_double_quant") else _FP4, ""
        return "int8", 8.0, ""
    algorithm = str(settings.get("quant_algo") or (settings.get("quantization") or {}).get("quant_algo") or "").upper()
    if "NVFP4" in algorithm or "W4A4" in algorithm or method == "nvfp4" or "nvfp4" in str(settings.get("format")):
        return "nvfp4", _FP4, ""
    if algorithm.startswith("MIXED"):
        return "fp8", 8.0, "of a mixture of precisions the widest is taken for all"
    if "FP8" in algorithm:
        return "fp8", 8.0, ""
    if "mxfp4" in method or "MXFP4" in algorithm:
        return "mxfp4", _MXFP4, ""
    bits, group, floating = _group(settings)
    if bits:
        return _named(bits, floating), _with_scales(bits, group), ""
    if method in _EIGHT:
        return "fp8", 8.0, ""
    if method in ("awq", "gptq", "awq_marlin", "gptq_marlin"):
        return "int4", _with_scales(4, 128), ""
    return "bf16", 16.0, f"quantisation '{method}' is not known here: weights taken at 16 bit"


def _named(bits: float, floating: bool) -> str:
    if bits > 4:
        return "fp8" if floating else "int8"
    return "nvfp4" if floating else "int4"


def _with_scales(bits: float, group: int) -> float:
    """With a 16-bit scale and a zero point for each group."""
    return bits + (16 + bits) / group if group > 0 else bits


def _group(settings: dict[str, Any]) -> tuple[float, int, bool]:
    """Bits and length of a group, and whether the numbers are floats; the widest of several; zeros where not said."""
    found: list[tuple[float, int, bool]] = []
    groups = settings.get("config_groups")
    for one in groups.values() if isinstance(groups, dict) else []:
        weights = one.get("weights") if isinstance(one, dict) else None
        if isinstance(weights, dict) and _is_bits(weights.get("num_bits")):
            length = weights.get("group_size")
            group = length if isinstance(length, int) and length > 0 else 0
            found.append((float(weights["num_bits"]), group, weights.get("type") == "float"))
    plain = settings.get("bits") or settings.get("w_bit") or settings.get("wbits")
    if not found and _is_bits(plain):
        length = settings.get("group_size", settings.get("q_group_size", 128))
        floating = "float" in str(settings.get("data_type") or settings.get("type") or "")
        found.append((float(plain), length if isinstance(length, int) and length > 0 else 0, floating))
    return max(found, default=(0.0, 0, False))


def _is_bits(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and 1 <= value <= 16


def _kept_whole(settings: dict[str, Any], layers: int) -> dict[str, float]:
    """Which share of each part stays at 16 bit."""
    named = [one for key in _LISTS if isinstance(settings.get(key), list) for one in settings[key]]
    inner = settings.get("quantization")
    if isinstance(inner, dict) and isinstance(inner.get("exclude_modules"), list):
        named += inner["exclude_modules"]
    found = {}
    for part, pattern in _MODULES.items():
        ours = [str(one) for one in named if pattern.search(str(one)) and not _is_others(str(one))]
        places = {match[1] for one in ours if (match := _PLACE.search(one)) and "*" not in one}
        everywhere = any(not _PLACE.search(one) and _EVERYWHERE.search(one) for one in ours)
        share = 1.0 if everywhere else min(1.0, len(places) / max(1, layers))
        if share:
            found[part] = share
    return found


def _is_others(module: str) -> bool:
    """Of what sees or hears, of drafts, or so small that it does not count."""
    small = re.search(r"router|gate$|norm|bias|conv1d|in_proj_[ab]\b|weights_proj", module)
    return bool(small) or any(part in module for part in ("visual", "vision", "audio", "mtp", "tower", "embed"))


def _cache(settings: dict[str, Any]) -> str:
    """What the checkpoint asks the cache to be kept in; the engine follows (vllm/utils/torch_utils.py:512)."""
    scheme = settings.get("kv_cache_scheme")
    if isinstance(scheme, dict) and scheme.get("num_bits") == 8 and scheme.get("type") == "float":
        return "fp8"
    inner = settings.get("quantization")
    algorithm = settings.get("kv_cache_quant_algo") or (inner if isinstance(inner, dict) else {}).get(
        "kv_cache_quant_algo"
    )
    return "fp8" if str(algorithm).upper() == "FP8" else ""
