"""A real, small model behind the gateway, and ways to ask it: SmolLM2 135M, from a package, in bfloat16.

What it writes is English and hardly ever right. So the tests look at what must hold of any model's words, ask greedily
where they compare, and let a form say what has to come where it must be these words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from anthropic import Anthropic
from ollama import Client
from openai import OpenAI
from openai.types.chat import ChatCompletionChunk
from tokenizers import Tokenizer

from tests.e2e.vllm_engines import VLLM
from tests.gateway.harness import KEY, Gateway

NAME = "SmolLM2-135M-Instruct"
# Tools need a parser. The usage of a request says what came from the cache. Nothing is compiled: that takes longer than
# all that is asked. Clients that say nothing of a temperature are answered greedily: the same each time.
WORDS = (
    "--enable-auto-tool-choice", "--tool-call-parser", "hermes", "--enable-prompt-tokens-details", "--enforce-eager",
    "--override-generation-config", '{"temperature": 0}',
)  # fmt: skip


@dataclass(frozen=True)
class Real:
    """`tokenizer`: of the model's own file, read by another library than the engine's."""

    engine: VLLM
    gateway: Gateway
    tokenizer: Tokenizer

    def openai(self) -> OpenAI:
        return OpenAI(base_url=f"{self.gateway.url}/v1", api_key=KEY, max_retries=0, timeout=120)

    def anthropic(self) -> Anthropic:
        return Anthropic(base_url=self.gateway.url, api_key=KEY, max_retries=0, timeout=120)

    def ollama(self) -> Client:
        return Client(self.gateway.url, headers={"authorization": f"Bearer {KEY}"}, timeout=120)

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        with self.gateway.client(120) as client:
            answer = client.post(path, json={"model": NAME} | body)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def tokens(self, text: str) -> int:
        return len(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def counted(self, name: str) -> int:
        """A counter of the engine's own."""
        return int(self.engine.metric(f"{name}_total"))


def prompt_of(*messages: tuple[str, str]) -> str:
    """What the model's chat template makes of (role, text), written down by hand."""
    said = [f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in messages]
    return "".join([*said, "<|im_start|>assistant\n"])


def ask(question: str, system: str = "You answer in one sentence.", **more: Any) -> dict[str, Any]:
    """A greedy request, as it is said with any client of OpenAI's API."""
    messages = [{"role": "system", "content": system}, {"role": "user", "content": question}]
    return {"model": NAME, "messages": messages, "temperature": 0, "max_tokens": 60} | more


def text_of(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


def events_of(response: httpx.Response) -> Iterator[dict[str, Any]]:
    """The events of a stream but its end."""
    for line in response.iter_lines():
        if line.startswith("data: {"):
            yield json.loads(line.removeprefix("data: "))


def label(metrics: str, name: str) -> str:
    """A fact that the engine tells as a label of `vllm:cache_config_info`."""
    found = re.search(rf'^vllm:cache_config_info{{.*\b{name}="([^"]*)"', metrics, re.MULTILINE)
    assert found, f"no {name} in vllm:cache_config_info"
    return found[1]


@contextmanager
def served(folder: Path, model: Path, *words: str) -> Iterator[Real]:
    """Up while the block lasts."""
    engine = VLLM(folder, *WORDS, *words, model=model, name=NAME, loads="auto")
    try:
        engine.wait()
        gateway = Gateway(folder, [engine.url], engine={"models": [NAME], "max_model_len": 4096})
        try:
            gateway.wait_up()
            yield Real(engine, gateway, Tokenizer.from_file(str(model / "tokenizer.json")))
        finally:
            gateway.stop()
    finally:
        engine.stop()
