"""One conversation: its messages, which grow by every answer, and the request of each turn."""

from __future__ import annotations

from collections.abc import Sequence

from loadtest.client.connection import Server
from loadtest.client.sse import StreamedAnswer
from loadtest.workload.requests import CHAT_PATH, ChatRequests
from loadtest.workload.source import Message, Place


class OngoingConversation:
    """Built before the clock starts. Its requests carry `X-Request-Id`, so that a slow one is found in a server's log.

    The model's own answer goes into the next turn: then an engine can have all of it in its prefix cache.
    `servers`: the side's, once for each key.
    """

    def __init__(self, requests: ChatRequests, place: Place, servers: Sequence[Server]) -> None:
        self.script = requests.conversation(place)
        self.number = 1  # of the turn
        self.answered = False  # the last turn was a success
        self._requests = requests
        self._label = place.label
        self._server = servers[self.script.key - 1]
        self._turn = self.script.turn(1)
        self._messages: list[Message] = [*self._turn.messages]
        self._request = self._built(self._turn.output_tokens)

    @property
    def output_tokens(self) -> int:
        """Of this turn, as it is asked for."""
        return self._turn.output_tokens

    def request(self, max_tokens: int | None = None) -> bytes:
        """The request of this turn; with `max_tokens` a shorter one, for warming up."""
        return self._request if max_tokens is None else self._built(max_tokens)

    def _built(self, output_tokens: int) -> bytes:
        body = self._requests.body(self._messages, output_tokens, self._turn.exact, self.script.model)
        request_id = f"{self._requests.run.nonce}-{self._label}-{self.number}"
        return self._server.request("POST", CHAT_PATH, body, request_id)

    def answer(self) -> StreamedAnswer:
        """An answer to be filled; it keeps its text where another turn follows."""
        return StreamedAnswer(kept=[] if self.number < self.script.turns else None)

    def goes_on(self, answer: StreamedAnswer) -> bool:
        """Takes the answer in; False when that was the last turn."""
        if self.number >= self.script.turns:
            return False
        self.number += 1
        self._turn = self.script.turn(self.number)
        self._messages += [{"role": "assistant", "content": answer.text()}, *self._turn.messages]
        self._request = self._built(self._turn.output_tokens)
        return True
