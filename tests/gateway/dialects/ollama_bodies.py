"""Parts of requests and answers that Ollama's clients send and get."""

from __future__ import annotations

import json
from typing import Any

import httpx

MESSAGES = [{"role": "user", "content": "hello, you"}]
WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather in a given city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def lines_of(response: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line) for line in response.text.splitlines()]
