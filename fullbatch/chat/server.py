"""Who is asked, over OpenAI's API: its models, and one answer as it comes."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal
from urllib.parse import quote, urlsplit

from fullbatch.chat.refusals import NoAnswer, message, refusal, silent
from fullbatch.core.errors import UsageError

CONNECT_SECONDS = 10.0
# A long queue, then a long prompt: the gateway has limits of its own, and they are shorter.
SILENCE_SECONDS = 900.0
_MOST_ERROR_BYTES = 64 * 2**10


@dataclass(frozen=True)
class Key:
    """An API key, and in words which one it is; no value: none is sent."""

    value: str
    origin: str


@dataclass(frozen=True)
class Piece:
    """Some of an answer. `reasoning`: what the model thinks before it."""

    kind: Literal["reasoning", "text"]
    text: str


class ChatServer:
    """`url`: http or https, with or without /v1; UsageError when it is neither."""

    def __init__(self, url: str, key: Key) -> None:
        try:
            parts = urlsplit(url)
            _ = parts.port
        except ValueError as error:
            raise UsageError(f"--url {url}: {error}; write http://HOST:PORT") from error
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
            raise UsageError("--url: write http://HOST:PORT, without a key in it")
        self.url, self.key = url.rstrip("/").removesuffix("/v1"), key
        self._parts = urlsplit(self.url)

    def models(self) -> list[str]:
        """Those that the key may use."""
        connection, response = self._send("GET", "/v1/models", None)
        with contextlib.closing(connection), response:
            try:
                entries = json.loads(response.read())["data"]
                return [str(entry["id"]) for entry in entries]
            except (ValueError, KeyError, TypeError) as error:
                raise NoAnswer(
                    f"{self.url}/v1/models is no list of models; is that a server of OpenAI's API?"
                ) from error
            except (OSError, http.client.HTTPException) as error:
                raise silent(self.url, error) from error

    def knows(self, model: str) -> bool:
        """Whether it has `model` by this name though it does not list it: aliases."""
        try:
            connection, response = self._send("GET", f"/v1/models/{quote(model, safe='')}", None)
        except UsageError:
            return False
        with contextlib.closing(connection), response:
            return True

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """A whole answer; NoAnswer when it is no JSON object."""
        connection, response = self._send("POST", path, body)
        with contextlib.closing(connection), response:
            try:
                found = json.loads(response.read())
            except ValueError as error:
                raise NoAnswer(f"{self.url}{path} answers with what is no JSON") from error
            except (OSError, http.client.HTTPException) as error:
                raise silent(self.url, error) from error
        if not isinstance(found, dict):
            raise NoAnswer(f"{self.url}{path} answers with what is no JSON object")
        return found

    def ask(self, body: dict[str, Any]) -> AnswerStream:
        """An answer to a body of `/v1/chat/completions`, to be used in a `with` block, which ends it upstream too."""
        began = time.monotonic()
        wanted = body | {"stream": True, "stream_options": {"include_usage": True}}
        return AnswerStream(self.url, began, *self._send("POST", "/v1/chat/completions", wanted))

    def _send(
        self, method: str, path: str, body: dict[str, Any] | None
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """What it answers with 200; the refusal as an error."""
        kind = http.client.HTTPSConnection if self._parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(self._parts.hostname or "", self._parts.port, timeout=CONNECT_SECONDS)
        headers = {"Content-Type": "application/json"}
        if self.key.value:
            headers["Authorization"] = f"Bearer {self.key.value}"
        with contextlib.ExitStack() as closing:
            closing.callback(connection.close)  # at Ctrl-C too: the gateway has to hear of it
            try:
                connection.connect()
                connection.sock.settimeout(SILENCE_SECONDS)
                connection.request(method, self._parts.path + path, None if body is None else json.dumps(body), headers)
                response = connection.getresponse()
                if response.status == 200:
                    closing.pop_all()
                    return connection, response
                said = response.read(_MOST_ERROR_BYTES).decode("utf-8", "replace")
            except (OSError, ValueError, http.client.HTTPException) as error:
                raise silent(self.url, error) from error
        raise refusal(response.status, said, response.headers.get("Retry-After") or "", self.key.origin)


class AnswerStream:
    """Pieces as they come. What it has come to so far is in the attributes; times are of the monotonic clock."""

    def __init__(
        self, url: str, began: float, connection: http.client.HTTPConnection, response: http.client.HTTPResponse
    ) -> None:
        self.text, self.reasoning = "", ""
        self.model, self.finish_reason = "", ""
        self.usage: dict[str, Any] = {}
        self.began, self.first_at, self.last_at = began, 0.0, 0.0
        self._url, self._connection, self._response = url, connection, response

    def __enter__(self) -> AnswerStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection, at which the gateway cancels what still runs."""
        if self._connection.sock:
            with contextlib.suppress(OSError):
                self._connection.sock.shutdown(socket.SHUT_RDWR)
        self._response.close()
        self._connection.close()

    def __iter__(self) -> Iterator[Piece]:
        for event in self._events():
            if "error" in event:
                raise NoAnswer(f"the answer broke off: {message(json.dumps(event)) or 'without a reason'}")
            self.model = str(event.get("model") or self.model)
            if isinstance(usage := event.get("usage"), dict):
                self.usage = usage
            for choice in event.get("choices") or ():
                self.finish_reason = choice.get("finish_reason") or self.finish_reason
                yield from self._pieces(choice.get("delta") or {})

    def _pieces(self, delta: dict[str, Any]) -> Iterator[Piece]:
        thought = delta.get("reasoning") or delta.get("reasoning_content")
        answer = delta.get("content")
        if not thought and not answer:
            return
        self.last_at = time.monotonic()
        self.first_at = self.first_at or self.last_at
        if thought:
            self.reasoning += thought
            yield Piece("reasoning", thought)
        if answer:
            self.text += answer
            yield Piece("text", answer)

    def _events(self) -> Iterator[dict[str, Any]]:
        try:
            for line in iter(self._response.readline, b""):
                name, _, data = line.partition(b":")
                if name != b"data":  # a comment that keeps the connection, an event's name, an event's end
                    continue
                if data.strip() == b"[DONE]":
                    return
                event = json.loads(data)
                if isinstance(event, dict):
                    yield event
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise NoAnswer(f"the answer broke off: {error or type(error).__name__}") from error
        raise NoAnswer(f"the answer broke off: {self._url} ended it without its end")

    @property
    def ttft_s(self) -> float | None:
        """Seconds from the question to the first piece; None before it."""
        return self.first_at - self.began if self.first_at else None

    @property
    def tokens_per_s(self) -> float | None:
        """Of the answer after its first token, by the server's own count; None where that says nothing."""
        tokens, seconds = self.usage.get("completion_tokens"), self.last_at - self.first_at
        return (tokens - 1) / seconds if isinstance(tokens, int) and tokens > 1 and seconds > 0 else None
