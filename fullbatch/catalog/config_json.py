"""Reads a model that the catalog does not know from its own `config.json` (Hugging Face's format).

What its class takes where it says nothing is filled in; its list of layers feeds what a request keeps and what the
weights are. What is not understood is said in `notes` and taken on the safe side.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from fullbatch.catalog import (
    Model,
    chat_template,
    classes,
    config_numbers,
    drafts,
    engine,
    feeds,
    kept,
    measured,
    parameters,
    quantised,
    registry,
    sight,
    states,
)
from fullbatch.catalog import layers as layers_module
from fullbatch.catalog.measured import Measured
from fullbatch.core.errors import UsageError

# A config.json has some kilobytes; those with a list of labels a hundred.
_MOST_BYTES = 8 * 2**20
# From this much more or less the weights that lie there are another model's than config.json describes.
_OTHERWISE = 1.35
_REQUIRED = ("hidden_size", "num_attention_heads")


def read(path: Path) -> Model:
    """The model described by `path`, a config.json or the directory it lies in; UsageError when it describes none."""
    file = path / "config.json" if path.is_dir() else path
    try:
        with file.open("rb") as opened:
            data = decode(opened.read(_MOST_BYTES + 1), file)
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}; give a model's directory or its config.json") from error
    quantised.beside(data, _text(file.with_name("hf_quant_config.json")))
    there = [name for name in chat_template.FILES if file.with_name(name).is_file()]
    template = chat_template.find(there, lambda name: _text(file.with_name(name)))
    return dataclasses.replace(parse(data, file), chat_template=template)


def _text(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def decode(text: bytes, file: Path) -> dict[str, Any]:
    """The JSON object that `file` holds; UsageError when there is none."""
    try:
        if len(text) > _MOST_BYTES:
            raise UsageError(f"{file}: more than {_MOST_BYTES >> 20} MiB; give a model's config.json")
        if text.lstrip()[:1] == b"<":
            raise UsageError(f"{file}: a web page, not JSON; download the file itself")
        data = json.loads(text.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file}: not JSON ({error}); give a model's config.json") from error
    if not isinstance(data, dict):
        raise UsageError(f"{file}: not a JSON object; give a model's config.json")
    return data


def parse(data: dict[str, Any], file: Path, weighed: Measured | None = None) -> Model:
    """The model whose config.json holds `data`. `weighed`: its weights, by default those that lie beside `file`."""
    refused = registry.refusal(data)
    if refused:
        raise UsageError(f"{file}: {refused}")
    whole, facts = _facts(data, file)
    layers = _layers(data, facts, file)
    counted = parameters.count(facts, layers, whole, registry.speaks(data))
    found = quantised.read(data, len(layers))
    weights = {name: quantised.gib(counted, at) for name, at in quantised.AT.items() if name != "int8"}
    weights[found.precision] = quantised.gib(counted, found)
    notes = (*registry.doubts(data, facts), *filter(None, (found.doubt,)))
    weighed = weighed or measured.read(file.parent)
    weights, notes = _weighed(data, weighed, weights, found.precision, notes)
    if found.foreign:
        notes += (
            f"vLLM {engine().version} has no quantisation '{found.foreign}': it starts only with a plugin that has it",
        )
    heads = config_numbers.number(facts, "num_attention_heads") or 1
    first = next((layer.attention for layer in layers if layer.attention), None)
    seen = sight.read(whole, counted.tower)
    return Model(
        name=str(file.parent if file.name == "config.json" else file),
        title=registry.architecture(data),
        layers=len(layers), hidden=config_numbers.number(facts, "hidden_size"), heads=first.heads if first else heads,
        kv_heads=min((one.heads for one in kept.read(layers) if one.heads), default=first.kv_heads if first else heads),
        head_dim=first.dim if first else 0, vocab=config_numbers.number(facts, "vocab_size"),
        native_context=_native(facts), weights_gib=weights, ffn=_width(facts),
        params_b=round(counted.total / 1e9, 2), active_b=round(counted.active / 1e9, 2), precision=found.precision,
        keeps=kept.read(layers) if registry.keeps_tokens(data, facts) else (), kv_dtype=found.kv_dtype,
        experts=feeds.experts_of(facts), pooling=registry.pools(data), remote_code=registry.needs_remote_code(data),
        takes_adapters=registry.takes_adapters(data), sight=seen,
        host_gib=counted.table * quantised.HALF / 2**30, source=str(file), notes=notes,
        model_type=str(data.get("model_type", "")), sees=bool(seen) or isinstance(whole.get("vision_config"), dict),
        head_gib=drafts.head_gib(facts, layers),
    )  # fmt: skip


def _facts(data: dict[str, Any], file: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The whole config with its defaults, and its decoder's part, every number looked at."""
    try:
        whole = classes.completed(data)
    except RecursionError as error:
        raise UsageError(f"{file}: parts within parts without end; name a model's config.json") from error
    text = whole.get(classes.TEXT)
    facts = whole
    if isinstance(text, dict):
        own = {key: value for key, value in whole.items() if key not in ("model_type", "layer_pattern")}
        facts = own | text
    facts = config_numbers.checked(facts, file)
    facts["tie_word_embeddings"] = _tied(data, whole, facts)
    for key in _REQUIRED[: 1 if states.is_everything(facts) else None]:
        config_numbers.positive(facts, key, file)
    if layers_module.length(facts) < 1:
        config_numbers.positive(facts, "num_hidden_layers", file)
    return whole, facts


def _tied(data: dict[str, Any], whole: dict[str, Any], facts: dict[str, Any]) -> bool:
    """Whether words out are the same matrix as words in: said by the decoder's part, else by the whole."""
    text = data.get(classes.TEXT)
    for said in (text if isinstance(text, dict) else {}, data, whole, facts):
        if isinstance(said.get("tie_word_embeddings"), bool):
            return bool(said["tie_word_embeddings"])
    return False


def _layers(data: dict[str, Any], facts: dict[str, Any], file: Path) -> tuple[layers_module.Layer, ...]:
    try:
        found = layers_module.read(facts, registry.is_believed(data))
    except KeyError as error:  # of a kind of layer whose other keys are there
        raise UsageError(f"{file}: {error.args[0]} is missing; add it: models with such layers have it") from error
    except (TypeError, ValueError, ZeroDivisionError, IndexError) as error:
        raise UsageError(f"{file}: its layers are not described as any model's are ({error})") from error
    for one in (layer.attention for layer in found if layer.attention and not layer.attention.latent):
        if one.kv_heads and one.heads % one.kv_heads:
            raise UsageError(
                f"{file}: num_attention_heads {one.heads} is no multiple of num_key_value_heads {one.kv_heads}; "
                "correct one"
            )
    if any(layer.attention and not layer.attention.dim for layer in found):
        hidden, heads = facts["hidden_size"], facts["num_attention_heads"]
        raise UsageError(
            f"{file}: hidden_size {hidden} is less than num_attention_heads {heads}; correct one, or add head_dim"
        )
    return found


def _weighed(
    data: dict[str, Any], found: Measured, weights: dict[str, float], precision: str, notes: tuple[str, ...]
) -> tuple[dict[str, float], tuple[str, ...]]:
    """The weights by precision: measured where they lie beside config.json, more where something is not understood."""
    if found.gib:
        # Checkpoints at 32 bit are loaded at 16.
        wide = str(data.get("dtype") or data.get("torch_dtype")) == "float32" and precision == "bf16"
        loaded = found.gib / 2 if wide else found.gib
        reckoned = weights[precision]
        if reckoned and not 1 / _OTHERWISE < loaded / reckoned < _OTHERWISE:
            notes += (f"the weights that lie there are {loaded:.1f} GiB, config.json describes {reckoned:.1f} GiB",)
        return weights | {precision: loaded}, notes
    if found.doubt:
        notes += (found.doubt,)
    # Of an architecture that the engine had, layers and weights are known all the same.
    if any(note != found.doubt for note in notes) and not classes.gone(registry.architecture(data)):
        more = registry.more(data)
        weights = {name: gib * more for name, gib in weights.items()}
        notes += (f"{round(100 * more - 100)} % were added to the reckoned weights for what is not understood",)
    return weights, notes


def _native(facts: dict[str, Any]) -> int:
    """The longest request. With LongRoPE what the extension reaches: a length is always given, and vLLM takes it."""
    for key in ("max_position_embeddings", "model_max_length", "max_seq_len", "seq_length", "n_positions"):
        if config_numbers.number(facts, key):
            return config_numbers.number(facts, key)
    return 4096


def _width(facts: dict[str, Any]) -> int:
    hidden = config_numbers.number(facts, "hidden_size")
    widths = [config_numbers.number(facts, key) for key in ("intermediate_size", "ffn_hidden_size")]
    return next((width for width in widths if width), 4 * hidden)
