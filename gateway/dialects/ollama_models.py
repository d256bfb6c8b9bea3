"""The models as Ollama's clients see them. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from typing import Any

from gateway.config.settings import EngineSettings

# The release of Ollama whose API this follows; clients look at it to see what they may use.
OLLAMA_VERSION = "0.32.15"
RUNNING = b"Ollama is running"
LATEST = ":latest"
# What is served here stays until somebody stops it; clients show this as "Forever".
_NEVER = "2999-12-31T00:00:00Z"

Json = dict[str, Any]


def resolve(name: str, known: Collection[str]) -> str:
    """The name under which a model is configured here: Ollama's clients add or leave out the tag ``latest``."""
    if name in known:
        return name
    other = name.removesuffix(LATEST) if name.endswith(LATEST) else name + LATEST
    return other if other in known else name


def tags(models: Mapping[str, EngineSettings], since: str) -> Json:
    """All models. ``since``: when the gateway started; when a model was put there is not known."""
    return {"models": [_card(model, engine) | {"modified_at": since} for model, engine in models.items()]}


def running(models: Mapping[str, EngineSettings], leaves: Mapping[str, str]) -> Json:
    """The models that an engine serves now. ``leaves``: when one may have to give way to another; empty is never."""
    cards = [
        _card(model, engine)
        | {"expires_at": leaves.get(model) or _NEVER, "size_vram": 0, "context_length": engine.max_model_len}
        for model, engine in models.items()
    ]
    return {"models": cards}


def show(model: str, engine: EngineSettings, since: str) -> Json:
    """One model; what the gateway does not know is empty."""
    return {
        "modelfile": "",
        "parameters": "",
        "template": "",
        "details": _details(model, engine),
        "model_info": {
            "general.architecture": "vllm",
            "general.basename": model,
            "vllm.context_length": engine.max_model_len,
        },
        "capabilities": list(engine.told),
        "modified_at": since,
    }


def _card(model: str, engine: EngineSettings) -> Json:
    name = model if ":" in model else model + LATEST
    # Clients cut and show it, so it has to be there; it is the name's, not the weights'.
    digest = hashlib.sha256(model.encode()).hexdigest()
    return {
        "name": name,
        "model": name,
        "size": 0,
        "digest": digest,
        "details": _details(model, engine),
        "capabilities": list(engine.told),
    }


def _details(model: str, engine: EngineSettings) -> Json:
    return {
        "parent_model": engine.adapters.get(model, ""),
        "format": "safetensors",
        "family": "",
        "families": [],
        "parameter_size": "",
        "quantization_level": "",
        "context_length": engine.max_model_len,
    }
