"""How to connect each kind of client: texts to copy. The key is always a word to be replaced, never a key."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass

from gateway.pages.address import Address

KEY = "YOUR_KEY"
_LOOPBACK = ("http://127.0.0.1", "http://localhost", "http://[::1]")


@dataclass(frozen=True, slots=True)
class Recipe:
    """One way to connect. ``text``: to be copied as it is; ``note``: what to know beside it, or empty."""

    name: str
    text: str
    note: str = ""


def recipes(address: Address, model: str) -> tuple[Recipe, ...]:
    """One for each kind of client. ``model``: any name, quoted for each language."""
    url, name = address.url, json.dumps(model, ensure_ascii=False)
    said = json.dumps([{"role": "user", "content": "Hello"}])
    body = f'{{"model": {name},\n       "messages": {said}}}'
    return (
        Recipe(
            "curl",
            f'curl {shlex.quote(url + "/v1/chat/completions")} \\\n  -H "Authorization: Bearer {KEY}" \\\n'
            f'  -H "Content-Type: application/json" \\\n  -d {shlex.quote(body)}',
        ),
        Recipe(
            "OpenAI",
            f'from openai import OpenAI\n\nclient = OpenAI(base_url="{url}/v1", api_key="{KEY}")\n'
            f"answer = client.chat.completions.create(\n    model={name},\n    messages={said},\n)\n"
            "print(answer.choices[0].message.content)",
            "Python. Other programs that speak OpenAI's API need the same address, key and model.",
        ),
        Recipe(
            "Anthropic",
            f'from anthropic import Anthropic\n\nclient = Anthropic(base_url="{url}", api_key="{KEY}")\n'
            f"answer = client.messages.create(\n    model={name},\n    max_tokens=500,\n    messages={said},\n)\n"
            "print(answer.content[0].text)",
            "Python. The address has no /v1 here.",
        ),
        Recipe(
            "Ollama",
            f'from ollama import Client\n\nclient = Client("{url}", headers={{"authorization": "Bearer {KEY}"}})\n'
            f"answer = client.chat(\n    model={name},\n    messages={said},\n)\nprint(answer.message.content)",
            "Python. The program ollama sends no key, so it cannot connect.",
        ),
        _open_webui(url),
        Recipe(
            "Coding agents",
            f"export OPENAI_BASE_URL={shlex.quote(url + '/v1')} OPENAI_API_KEY={KEY}\n"
            f"export ANTHROPIC_BASE_URL={shlex.quote(url)} ANTHROPIC_AUTH_TOKEN={KEY}\n"
            f"export ANTHROPIC_MODEL={shlex.quote(model)}",
            "Most agents read the variables of one of the two APIs; in others write address, key and model into their "
            "settings as an OpenAI-compatible provider. The model has to be one that can call tools.",
        ),
    )


def _open_webui(url: str) -> Recipe:
    note = "Its environment; or address and key in its admin settings, under Connections."
    if url.startswith(_LOOPBACK):
        note += " In a container 127.0.0.1 is the container itself: start it with --network host."
    return Recipe("Open WebUI", f"OPENAI_API_BASE_URL={shlex.quote(url + '/v1')}\nOPENAI_API_KEY={KEY}", note)
