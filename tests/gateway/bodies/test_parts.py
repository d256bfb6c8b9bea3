"""What a prompt is made of."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.bodies.parts import Parts

URL = {"type": "image_url", "image_url": {"url": "https://x.example/a.png"}}
INSIDE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


@pytest.mark.parametrize(
    ("content", "messages", "parts", "media", "inline"),
    [
        ({}, 0, 0, 0, 0),
        ({"messages": [{"role": "user", "content": "x"}] * 3}, 3, 0, 0, 0),
        ({"messages": [{"content": [URL, INSIDE, {"type": "text", "text": "x"}]}]}, 1, 3, 2, 26),
        ({"messages": [{"content": [{"image_url": {"url": "data:x"}}]}]}, 1, 1, 1, 6),
        ({"messages": [{"content": [{"type": "input_audio", "input_audio": {"data": "AAAA"}}]}]}, 1, 1, 1, 4),
        ({"messages": [{"content": [{"type": "image_embeds", "image_embeds": "AAAA"}]}]}, 1, 1, 1, 4),
        ({"messages": [{"content": [{"type": "video_url", "video_url": "data:AAAA"}]}]}, 1, 1, 1, 9),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "data:A"}]}]}, 1, 1, 1, 6),
        ({"input": ["a", "b"]}, 0, 0, 0, 0),
        ({"input": [1, 2, 3]}, 0, 0, 0, 0),
        ({"messages": [{"content": [{"type": "image", "source": {"type": "base64", "data": "AA"}}]}]}, 1, 1, 1, 2),
        ({"messages": [{"content": [{"type": "image", "source": {"type": "url", "url": "https://x"}}]}]}, 1, 1, 1, 0),
        ({"messages": [{"content": [{"type": "document", "source": {"type": "text", "data": "AA"}}]}]}, 1, 1, 0, 0),
        ({"messages": [{"content": [{"type": "tool_result", "content": [URL]}]}]}, 1, 2, 1, 0),
        ({"system": [{"type": "text", "text": "x"}], "messages": []}, 0, 1, 0, 0),
        ({"messages": [{"content": None, "tool_calls": [{}, {}]}]}, 1, 2, 0, 0),
        ({"messages": "x", "input": 5, "system": {}}, 0, 0, 0, 0),
        ({"messages": [5, None, [], {"content": [5, None, {}, {"type": []}]}]}, 1, 4, 0, 0),
        ({"messages": [{"content": [{"type": "image_url", "image_url": 5}, {"type": "image"}]}]}, 1, 2, 1, 0),
    ],
)
def test_parts(content: dict[str, Any], messages: int, parts: int, media: int, inline: int) -> None:
    found = Parts(content)
    assert (found.messages, found.parts, found.media, found.inline_bytes) == (messages, parts, media, inline)
