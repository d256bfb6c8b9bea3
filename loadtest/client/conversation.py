"""One conversation: its messages, which grow by every answer, and the request of each turn."""

from __future__ import annotations

from loadtest.client.connection import Server
from loadtest.client.sse import StreamedAnswer
from loadtest.workload.prompts import CHAT_PATH, Prompts
from loadtest.workload.schema import RequestKind


class OngoingConversation:
    """Built before the clock starts. Its requests carry `X-Request-Id`, so that a slow one is found in a server's log.

    The model's own answer goes into the next turn: then an engine can have all of it in its prefix cache.
    """

    def __init__(self, prompts: Prompts, kind: RequestKind, label: str, server: Server) -> None:
        self.kind = kind
        self.turn = 1
        self._prompts = prompts
        self._label = label
        self._server = server
        self._messages = prompts.opening(kind, label)
        self._request = self._built()
        self.answered = False  # the last turn was a success

    def request(self, max_tokens: int | None = None) -> bytes:
        """The request of this turn; with `max_tokens` a shorter one, for warming up."""
        return self._request if max_tokens is None else self._built(max_tokens)

    def _built(self, max_tokens: int | None = None) -> bytes:
        body = self._prompts.body(self._messages, self.kind, max_tokens)
        return self._server.request("POST", CHAT_PATH, body, f"{self._prompts.nonce}-{self._label}-{self.turn}")

    def answer(self) -> StreamedAnswer:
        """An answer to be filled; it keeps its text where another turn follows."""
        return StreamedAnswer(kept=[] if self.turn < self.kind.turns else None)

    def goes_on(self, answer: StreamedAnswer) -> bool:
        """Takes the answer in; False when that was the last turn."""
        if self.turn >= self.kind.turns:
            return False
        self.turn += 1
        said = {"role": "assistant", "content": answer.text()}
        self._messages += [said, self._prompts.question(self.kind, self._label, self.turn)]
        self._request = self._built()
        return True
