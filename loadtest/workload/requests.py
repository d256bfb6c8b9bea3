"""Makes request bodies of OpenAI's chat API from the texts of any source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from loadtest.workload.source import Conversation, Message, Place, RequestSource
from loadtest.workload.texts import RunTexts

CHAT_PATH = "/v1/chat/completions"


@dataclass(frozen=True, slots=True)
class ChatRequests:
    """What one run asks of one server.

    Temperature 1 without a seed: what chat clients send, so the engine samples as it does for people.
    `ask_counts`: have the server tell with each event how many tokens there are by then (vLLM's continuous usage).
    """

    model: str
    source: RequestSource
    run: RunTexts
    temperature: float = 1.0
    ask_counts: bool = False

    def conversation(self, place: Place) -> Conversation:
        return self.source.conversation(place, self.run)

    def body(self, messages: Sequence[Message], output_tokens: int, exact: bool = True, model: str = "") -> bytes:
        """`model`: instead of the run's own.

        `exact`: by `ignore_eos` and `min_tokens`, vLLM's own fields, every answer has the same length.
        """
        usage = {"include_usage": True} | ({"continuous_usage_stats": True} if self.ask_counts else {})
        body: dict[str, Any] = {
            "model": model or self.model,
            "messages": messages,
            "max_tokens": output_tokens,
            "temperature": self.temperature,
            "stream": True,
            "stream_options": usage,
        }
        if exact:
            body |= {"min_tokens": output_tokens, "ignore_eos": True}
        return orjson.dumps(body)
