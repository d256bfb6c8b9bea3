"""Which requests have the engine compile something."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.dialects.structured import asked

TOOLS = [{"type": "function", "function": {"name": "f"}}]


@pytest.mark.parametrize(
    "content",
    [
        {"response_format": {"type": "json_schema", "json_schema": {}}},
        {"response_format": {"type": "json_object"}},
        {"structured_outputs": {"regex": "a+"}},
        {"guided_json": {"type": "object"}},
        {"text": {"format": {"type": "json_schema"}}},
        {"output_config": {"format": {"type": "json_schema"}}},
        {"tools": TOOLS, "tool_choice": "required"},
        {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "f"}}},
        {"tools": TOOLS, "tool_choice": {"type": "any"}},
    ],
)
def test_p152_structured(content: dict[str, Any]) -> None:
    assert asked(content)


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"response_format": {"type": "text"}},
        {"response_format": None, "text": {"format": {"type": "text"}}, "structured_outputs": None},
        {"response_format": "json", "text": "x", "tool_choice": 3},
        {"tools": TOOLS},
        {"tools": TOOLS, "tool_choice": "auto"},
        {"tools": [], "tool_choice": "required"},
    ],
)
def test_p152_plain(content: dict[str, Any]) -> None:
    assert not asked(content)
