"""A model's own chat template, from the files that Transformers keeps it in."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from typing import Any

# The first that is there counts, as for Transformers.
FILES = ("chat_template.jinja", "chat_template.json", "tokenizer_config.json")
# Of several templates by name: that with tools is taken for requests with tools.
_PREFERRED = ("tool_use", "default")


def find(files: Collection[str], text: Callable[[str], str | None]) -> str | None:
    """The template of a repository or folder with `files`; "" where it has none, None where that cannot be told.

    `text` reads one of them, None where it cannot be read.
    """
    there = [name for name in FILES if name in files]
    for name in there:
        content = text(name)
        if content is None:
            return None
        found = content if name.endswith(".jinja") else _inside(content)
        if found:
            return found
    return "" if there else None


def _inside(text: str) -> str:
    try:
        data = json.loads(text)
    except ValueError:
        return ""
    return _chosen(data.get("chat_template")) if isinstance(data, dict) else ""


def _chosen(template: Any) -> str:
    """One text, or several by name."""
    if isinstance(template, list):
        named = {one.get("name"): one.get("template") for one in template if isinstance(one, dict)}
        template = next((named[name] for name in _PREFERRED if name in named), None)
    return template if isinstance(template, str) else ""
