"""What a config.json may leave out: Transformers writes only what differs from the defaults of a model's class.

`classes.json` holds those of the pinned engine's own Transformers (scripts/record-classes), and every architecture of
that vLLM's registry.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

_FILE = Path(__file__).parent / "classes.json"
# Where the decoder of a model that also sees or hears is described; vLLM reads the second as the first.
TEXT = "text_config"
_TEXT_NAMES = (TEXT, "llm_config", "language_config", "thinker_config", "vlm_config")
# Checkpoints whose config.json names no model_type (vllm/transformers_utils/config.py).
_ALIASES = {"LongcatFlashForCausalLM": "longcat_flash", "LongcatFlashNgramForCausalLM": "longcat_flash"}


@cache
def recorded() -> dict[str, Any]:
    """The file: `versions`, `architectures`, `gone`, `types`."""
    found: dict[str, Any] = json.loads(_FILE.read_text(encoding="utf-8"))
    return found


def kind(architecture: str) -> str | None:
    """What the pinned engine serves an architecture as: generate, pooling or draft; None where it does not know it."""
    found = recorded()["architectures"].get(architecture)
    return None if found is None else str(found)


def gone(architecture: str) -> str | None:
    """The last version of the engine that had an architecture, where the pinned one has it no more."""
    found = recorded()["gone"].get(architecture)
    return None if found is None else str(found)


def has_stand_in(architecture: str) -> bool:
    """Whether Transformers has a class of that name, which the engine tries where it has none of its own."""
    return architecture in recorded()["stand_ins"]


def completed(data: dict[str, Any]) -> dict[str, Any]:
    """A config.json with what its class takes where it says nothing; the decoder's part under `text_config`.

    A part (`vision_config`) is completed likewise. Null is said, as Transformers takes it: no window, not the class's.
    """
    return _completed(data, model_type(data))


def model_type(data: dict[str, Any]) -> str:
    """What a config.json says it is, else what its architecture is; "" where neither is known."""
    named = data.get("architectures")
    first = str(named[0]) if isinstance(named, list) and named else ""
    return str(data.get("model_type") or recorded()["model_types"].get(first) or _ALIASES.get(first, ""))


def is_counted(name: str) -> bool:
    """Whether a model of this model_type was held against what Transformers counts."""
    return name in recorded()["counted"]


def is_known(data: dict[str, Any]) -> bool:
    """Whether the defaults of a config.json's class are recorded."""
    return model_type(data) in recorded()["types"]


def _completed(data: dict[str, Any], name: str) -> dict[str, Any]:
    entry = recorded()["types"].get(name, {})
    found = dict(data)
    for other, key in entry.get("names", {}).items():
        if other in found and key not in found:
            found[key] = found[other]
    found = dict(entry.get("defaults", {})) | found
    found["model_type"] = name or found.get("model_type")
    for part, part_type in entry.get("parts", {}).items():
        own = found.get(part)
        own = own if isinstance(own, dict) else entry.get("given", {}).get(part, {})
        found[part] = _completed(own, str(own.get("model_type") or part_type))
    for part, own in found.items():
        if part.endswith("_config") and isinstance(own, dict) and part not in entry.get("parts", {}):
            found[part] = _completed(own, str(own.get("model_type") or ""))
    _lift(found)
    for other, key in entry.get("names", {}).items():
        if key in found:
            found.setdefault(other, found[key])
    if found.get("layer_types") is None and "pattern" in entry:
        found["layer_pattern"] = entry["pattern"]
    return found


def _lift(found: dict[str, Any]) -> None:
    """Where the decoder's part has another name, or lies with its towers in a part of its own (a thinker)."""
    for key in _TEXT_NAMES:
        part = found.get(key)
        if not isinstance(part, dict):
            continue
        if isinstance(part.get(TEXT), dict):
            for name in [one for one in part if one.endswith("_config") and one != TEXT]:
                found.setdefault(name, part[name])
            part = part[TEXT]
        found[TEXT] = part
        return
