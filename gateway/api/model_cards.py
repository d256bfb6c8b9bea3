"""A model as the clients of each API expect it in a list. Pure; Ollama's cards are in dialects/ollama_models."""

from __future__ import annotations

from typing import Any

from gateway.config.settings import EngineSettings

Json = dict[str, Any]


def openai(model: str, engine: EngineSettings, started: int, since: str) -> Json:
    """OpenAI's members, then vLLM's and OpenRouter's for what a request may hold, then Anthropic's; `parent`, which is
    vLLM's, of an adapter. No path of an engine is told.

    Either's clients leave out the others'. ``started``, ``since``: when the gateway started, as Unix time and RFC 3339;
    when a model was made is not known here.
    """
    parent = engine.adapters.get(model)
    card: Json = {
        "id": model,
        "object": "model",
        "created": started,
        "owned_by": "fullbatch",
        "max_model_len": engine.max_model_len,
        "context_length": engine.max_model_len,
        "capabilities": list(engine.told),
        "type": "model",
        "display_name": model,
        "created_at": since,
    }
    return card if parent is None else card | {"parent": parent}


def anthropic(model: str, engine: EngineSettings, started: int, since: str) -> Json:
    """The same for whoever says `anthropic-version`: there `capabilities` is an object of objects."""
    return openai(model, engine, started, since) | {
        "lifecycle": "active",
        "max_input_tokens": engine.max_model_len,
        "max_tokens": engine.max_model_len,
        "capabilities": _capabilities(engine.told),
    }


def _capabilities(told: tuple[str, ...]) -> Json:
    """What vLLM does of what its Messages API takes; what needs a service of Anthropic's is not there."""
    thinks, no = "thinking" in told, {"supported": False}
    efforts = {level: {"supported": thinks} for level in ("low", "medium", "high", "xhigh", "max")}
    kinds = {"adaptive": {"supported": thinks}, "enabled": {"supported": thinks}, "disabled": {"supported": True}}
    return {
        "batch": no,
        "citations": no,
        "code_execution": no,
        "context_management": no,
        "effort": {"supported": thinks} | efforts,
        "image_input": {"supported": "vision" in told},
        "pdf_input": no,
        "server_tools": {"supported": False, "code_execution": no, "web_search": no},
        "structured_outputs": {"supported": "completion" in told},
        "thinking": {"supported": thinks, "types": kinds | {"between_tools": no}},
    }
