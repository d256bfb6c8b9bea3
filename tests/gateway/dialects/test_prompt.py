"""What is known of a prompt before it is tokenised."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest

from gateway.dialects import prompt


def test_text_counts_by_its_size() -> None:
    body = orjson.dumps({"messages": [{"role": "user", "content": "x" * 4000}]})
    assert 1000 <= prompt.estimate(body, orjson.loads(body)) < 1050


DATA = base64.b64encode(b"i" * 3_000_000).decode()


@pytest.mark.parametrize(
    "image",
    [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{DATA}"}},
        {"type": "input_image", "image_url": f"data:image/png;base64,{DATA}"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": DATA}},
    ],
    ids=["chat", "responses", "anthropic"],
)
def test_an_image_counts_as_an_image_and_not_as_its_base64(image: dict[str, Any]) -> None:
    content = {"messages": [{"role": "user", "content": [{"type": "text", "text": "x" * 400}, image]}]}
    assert prompt.IMAGE_TOKENS + 100 <= prompt.estimate(orjson.dumps(content), content) < prompt.IMAGE_TOKENS + 200


def test_text_that_speaks_of_base64_is_text() -> None:
    content = {"prompt": "what is ;base64, in a URL?" + "x" * 4000}
    assert prompt.estimate(orjson.dumps(content), content) >= 1000
