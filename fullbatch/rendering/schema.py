"""`profiles/schema.json`: what an editor knows of a profile, of one model or of several."""

from __future__ import annotations

import json
from typing import Any

from fullbatch.planning.profile import Profile
from fullbatch.planning.several import SHARED, ModelSettings, Shared


def text() -> str:
    """The JSON schema of a profile. Which of the two it is `models` says."""
    one, several = Profile.model_json_schema(), Shared.model_json_schema()
    entry = _entry(one)
    several["properties"]["models"]["items"] = {"$ref": "#/$defs/OneOfSeveral"}
    defs = several.pop("$defs", {}) | one.pop("$defs", {}) | {"OneOfSeveral": entry, "Profile": one, "Several": several}
    made = {
        "$defs": dict(sorted(defs.items())),
        "if": {"required": ["models"]},
        "then": {"$ref": "#/$defs/Several"},
        "else": {"$ref": "#/$defs/Profile"},
    }
    return json.dumps(made, indent=2, ensure_ascii=False) + "\n"


def _entry(one: dict[str, Any]) -> dict[str, Any]:
    """One of `models`: the settings of a profile but for those that all share, and what it says besides."""
    own = {name: value for name, value in one["properties"].items() if name not in SHARED}
    return {
        "additionalProperties": False,
        "description": "One of several models, with the settings of a profile of its own.",
        "properties": own | ModelSettings.model_json_schema()["properties"],
        "required": [name for name in one["required"] if name not in SHARED],
        "title": "OneOfSeveral",
        "type": "object",
    }
