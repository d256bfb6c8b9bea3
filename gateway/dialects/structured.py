"""Does a request want its answer in a form that the engine has to compile first?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_FORMS = frozenset({"json_object", "json_schema", "structural_tag"})
_FIELDS = (
    "structured_outputs", "guided_json", "guided_regex", "guided_choice", "guided_grammar", "output_format",
)  # fmt: skip
_FORCED = frozenset({"required", "any", "tool", "function"})


def asked(content: Mapping[str, Any]) -> bool:
    """Of OpenAI's, Anthropic's and the Responses API's requests."""
    if any(content.get(name) for name in _FIELDS) or _formed(content.get("response_format")):
        return True
    for outer in ("text", "output_config"):
        found = content.get(outer)
        if isinstance(found, dict) and _formed(found.get("format")):
            return True
    choice = content.get("tool_choice")
    kind = choice.get("type") if isinstance(choice, dict) else choice
    return bool(content.get("tools")) and isinstance(kind, str) and kind in _FORCED


def _formed(found: object) -> bool:
    return isinstance(found, dict) and found.get("type") in _FORMS
