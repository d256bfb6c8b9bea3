"""What a LoRA adapter is: its adapter_config.json (PEFT's), and the shapes in the header of its safetensors.

What vLLM 0.32 does not load (lora/peft_helper.py, lora/lora_model.py) is refused, and what does not fit the model that
it is to be served with. An adapter of other shapes would end the engine while it starts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fullbatch.catalog import Model
from fullbatch.core.errors import UsageError

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
# What vLLM keeps places of (config/lora.py); an adapter of another rank takes the next larger.
RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
MOST_CONFIG_BYTES = 1 << 20
# The header names each matrix in some hundred bytes; a mixture's adapter may have many thousand.
MOST_HEADER_BYTES = 8 << 20
_LENGTH_BYTES = 8
_INITS = ("gaussian", "eva", "orthogonal", "mica", "lora_ga")
_HEADS = ("classifier", "score")
_MATRIX = re.compile(r"layers\.(\d+)\.(?:self_attn|mlp)\.(\w+)\.lora_([AB])\.weight$")
# Of other parts of a model than its decoder.
_TOWERS = re.compile(r"vis(ual|ion)|audio|tower|connector|projector")
# What the names of one model's checkpoints differ in.
_FORMATS = re.compile(
    r"[-_.](unsloth|bnb|4bit|8bit|awq|gptq|int4|int8|fp8|fp16|bf16|nvfp4|dynamic|w4a16|w8a8|quantized|autoround|hf|ct)\b"
)

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class AdapterFacts:
    """`rank`: of its widest matrices. `base`: the model that it says it was made for, "" where it says none."""

    rank: int
    base: str = ""

    @property
    def kept_rank(self) -> int:
        """The rank that the engine keeps a place of for it."""
        return next(one for one in RANKS if one >= self.rank)


def read(folder: Path, model: Model, *, any_base: bool = False) -> AdapterFacts:
    """The adapter in `folder`, to be served with `model`; UsageError saying why it cannot be.

    `any_base`: its own word on the model that it was made for does not count.
    """
    if not folder.is_dir():
        raise UsageError(f"'{folder}': no such folder; name the folder that holds the adapter's {CONFIG}")
    path = folder / CONFIG
    facts = parse(_beginning(path, MOST_CONFIG_BYTES + 1, f"{folder} has no {CONFIG}; name an adapter's folder"), path)
    weights = folder / WEIGHTS
    missing = without_weights(str(folder), [one.name for one in folder.iterdir()])
    found = shapes(_beginning(weights, _LENGTH_BYTES + MOST_HEADER_BYTES, missing), weights, weights.stat().st_size)
    refuse_misfit(facts, found, model, str(folder), any_base=any_base)
    return facts


def _beginning(path: Path, count: int, missing: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(count)
    except FileNotFoundError:
        raise UsageError(missing) from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; make it readable") from error


def without_weights(where: str, names: list[str]) -> str:
    """What is said of an adapter at `where` that has files called `names`, and no safetensors among them."""
    pickled = next((one for one in ("adapter_model.bin", "adapter_model.pt") if one in names), "")
    instead = f", only {pickled}, which is pickled and can run code; save it as safetensors" if pickled else ""
    return f"{where} has no {WEIGHTS}{instead or '; name an adapter that was saved whole'}"


def parse(text: bytes, path: Path) -> AdapterFacts:
    """What adapter_config.json says; UsageError when it is none, or asks for what vLLM does not do."""
    try:
        data = json.loads(text.decode("utf-8-sig")) if len(text) <= MOST_CONFIG_BYTES else None
    except (ValueError, RecursionError):
        raise UsageError(f"{path}: not whole JSON; copy the adapter anew") from None
    if not isinstance(data, dict):
        raise UsageError(f"{path}: not a JSON object of PEFT's; name an adapter's folder")
    kind = str(data.get("peft_type", "LORA")).upper()
    if kind != "LORA":
        raise UsageError(f"{path}: peft_type {kind[:40]}: vLLM loads LORA adapters only; train or convert one")
    for key in ("r", "lora_alpha", "target_modules"):
        if not data.get(key):
            raise UsageError(f"{path}: {key} is missing; PEFT writes it, so save the adapter anew")
    rank = _rank(data, path)
    if said := _unsupported(data):
        raise UsageError(f"{path}: {said}; train or save it as a plain LoRA adapter")
    base = data.get("base_model_name_or_path")
    return AdapterFacts(rank, base if isinstance(base, str) else "")


def _rank(data: dict[str, Any], path: Path) -> int:
    pattern = data.get("rank_pattern") or {}
    ranks = [data["r"], *(pattern.values() if isinstance(pattern, dict) else [pattern])]
    for rank in ranks:
        if isinstance(rank, bool) or not isinstance(rank, int) or not 0 < rank <= RANKS[-1]:
            raise UsageError(f"{path}: rank {str(rank)[:40]}: vLLM takes 1 to {RANKS[-1]}; name another adapter")
    return int(max(ranks))


def _unsupported(data: dict[str, Any]) -> str:
    """What of PEFT's it asks for that vLLM does not do; "" for nothing."""
    saved = data.get("modules_to_save")
    init = data.get("init_lora_weights", True)
    if any(one not in _HEADS for one in (saved if isinstance(saved, list) else [])):
        return "modules_to_save: vLLM serves no whole layers beside LoRA"
    if data.get("bias", "none") != "none" or data.get("lora_bias"):
        return "bias: vLLM serves none of an adapter's"
    if isinstance(init, str) and init.lower() not in _INITS:
        return f"init_lora_weights {init[:40]}: vLLM does not support it, as it changes the base model's weights"
    names = ("use_dora", "use_qalora", "use_bdlora", "layer_replication", "alora_invocation_tokens")
    found = next((name for name in names if data.get(name)), "")
    return f"{found}: vLLM does not support it" if found else ""


def shapes(text: bytes, path: Path, size: int) -> Shapes:
    """The shapes of the matrices in a safetensors file of `size` bytes that begins with `text`; UsageError if broken.

    The format: eight bytes with the length of a JSON header, the header, the numbers.
    """
    broken = UsageError(f"{path}: cut off, or no safetensors file; copy the adapter anew")
    length = int.from_bytes(text[:_LENGTH_BYTES], "little")
    if len(text) < _LENGTH_BYTES or not 0 < length <= MOST_HEADER_BYTES or len(text) < _LENGTH_BYTES + length:
        raise broken
    try:
        header = json.loads(text[_LENGTH_BYTES : _LENGTH_BYTES + length])
        found = {name: tuple(map(int, one["shape"])) for name, one in header.items() if name != "__metadata__"}
        end = max((int(one["data_offsets"][1]) for name, one in header.items() if name != "__metadata__"), default=0)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        raise broken from None
    if size < _LENGTH_BYTES + length + end:
        raise broken
    if not any(".lora_A." in name for name in found):
        raise UsageError(f"{path}: holds no LoRA matrices (lora_A, lora_B); name a LoRA adapter")
    return found


def refuse_misfit(facts: AdapterFacts, found: Shapes, model: Model, where: str, *, any_base: bool = False) -> None:
    """UsageError when an adapter, called `where`, was made for another model than `model`."""
    if not model.takes_adapters:
        raise UsageError(f"vLLM serves no adapters with {model.name}; remove them, or choose another model")
    if facts.base and not any_base and not _same(facts.base, model):
        raise UsageError(
            f"{where} says that it was made for {facts.base}, not for {model.name}; serve it with that, or write "
            "any_base: true beside its source if it fits all the same"
        )
    for name, shape in found.items():
        match = _MATRIX.search(name)
        if match is None or len(shape) != 2 or _TOWERS.search(name):
            continue
        layer, module, side = int(match[1]), match[2], match[3]
        if layer >= model.layers:
            raise UsageError(f"{where} is for layer {layer}, and {model.name} has {model.layers}; name one made for it")
        rank, width = shape if side == "A" else (shape[1], shape[0])
        expected = _widths(model, module).get(side)
        if expected and width != expected:
            way = "in" if side == "A" else "out"
            raise UsageError(
                f"{where}: {module} is {width} wide ({way}), and that of {model.name} is {expected}; "
                "name an adapter made for it"
            )
        if rank > facts.rank:
            raise UsageError(f"{where}: {module} has rank {rank}, and {CONFIG} says {facts.rank}; copy it anew")


def _same(base: str, model: Model) -> bool:
    """Whether `base` may be `model`: the same name, however it is quantised and whoever published it."""
    if "/" not in base or base.startswith(("/", ".", "~")) or model.name.startswith("/"):
        return True  # a folder of the machine that it was trained on, or is served on, has any name
    return _plain(base) in (_plain(model.name), _plain(model.base))


def _plain(name: str) -> str:
    return _FORMATS.sub("", name.rpartition("/")[2].lower())


def _widths(model: Model, module: str) -> dict[str, int]:
    """How wide a module is at its input (A) and output (B), as far as `model` says it; all of it where layers are
    alike."""
    hidden = model.hidden
    found = {"q_proj": {"A": hidden}, "k_proj": {"A": hidden}, "v_proj": {"A": hidden}, "o_proj": {"B": hidden}}
    if not _alike(model):
        return found.get(module, {})
    q, kv, ffn = model.heads * model.head_dim, model.kv_heads * model.head_dim, model.ffn
    found["q_proj"]["B"], found["o_proj"]["A"] = q, q
    found["k_proj"]["B"] = found["v_proj"]["B"] = kv
    found |= {"gate_proj": {"A": hidden, "B": ffn}, "up_proj": {"A": hidden, "B": ffn}}
    found["down_proj"] = {"A": ffn, "B": hidden}
    return found.get(module, {})


def _alike(model: Model) -> bool:
    """Whether all layers are plain attention with the same heads, and a feed-forward of the width that is known."""
    kinds = {(one.heads, one.numbers) for one in model.keeps}
    plain = kinds == {(model.kv_heads, 2 * model.head_dim)} and not model.experts
    return plain and bool(model.ffn) and not any(one.state for one in model.keeps)
