"""One question by each API's own client."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import anthropic
import ollama
import openai

HELLO = "Say hello."
# The first request may have to load its model.
ANSWER_S = 1800

# An answer's model, its tokens and its text.
Answered = tuple[str, int, str]


@dataclass(frozen=True)
class ApiClients:
    """Those of OpenAI, Anthropic and Ollama, at one gateway with one key; answers of so many tokens."""

    url: str
    key: str
    tokens: int = 4

    def each(self) -> tuple[Callable[[str], Answered], ...]:
        """What asks a model, client by client."""
        return self.of_openai, self.of_anthropic, self.of_ollama

    def of_openai(self, model: str) -> Answered:
        with openai.OpenAI(base_url=f"{self.url}/v1", api_key=self.key, max_retries=0, timeout=ANSWER_S) as client:
            answer = client.chat.completions.create(
                model=model, messages=[{"role": "user", "content": HELLO}], max_tokens=self.tokens
            )
        assert answer.usage is not None
        return answer.model, answer.usage.completion_tokens, answer.choices[0].message.content or ""

    def of_anthropic(self, model: str) -> Answered:
        with anthropic.Anthropic(base_url=self.url, api_key=self.key, max_retries=0, timeout=ANSWER_S) as client:
            answer = client.messages.create(
                model=model, messages=[{"role": "user", "content": HELLO}], max_tokens=self.tokens
            )
        text = "".join(block.text for block in answer.content if block.type == "text")
        return answer.model, answer.usage.output_tokens, text

    def of_ollama(self, model: str) -> Answered:
        client = ollama.Client(host=self.url, headers={"authorization": f"Bearer {self.key}"}, timeout=ANSWER_S)
        answer = client.chat(model, [{"role": "user", "content": HELLO}], options={"num_predict": self.tokens})
        client._client.close()
        return answer.model or "", answer.eval_count or 0, answer.message.content or ""
