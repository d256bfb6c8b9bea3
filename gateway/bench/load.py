"""The load: raw connections that read a stream's bytes and nothing more, so that the client is not what is measured."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import cast

import orjson

STREAM_END_GRACE_S = 0.5


def request_bytes(tokens: int, stream: bool) -> bytes:
    content = "How do I keep the batch full? " * 20
    message = {"role": "user", "content": content}
    body = orjson.dumps({"model": "tiny", "stream": stream, "max_tokens": tokens, "messages": [message]})
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer bench-key-0123456789\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@dataclass
class Counts:
    """What came back. ``ttft_s``: from the request to the first event."""

    chunks: int = 0
    answers: int = 0
    failures: int = 0
    ttft_s: list[float] = field(default_factory=list)


class Client(asyncio.Protocol):
    """Sends a request, and the next one as long as ``again`` says so."""

    def __init__(self, data: bytes, end: bytes, counts: Counts, repeat_until: float) -> None:
        self._data = data
        self._end = end
        self._counts = counts
        self._repeat_until = repeat_until
        self._loop = asyncio.get_running_loop()
        self._sent_at = 0.0
        self._started = False
        self._tail = b""
        self._transport: asyncio.Transport
        self.finished = self._loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        events = data.count(b"data: {")
        self._counts.chunks += events
        if events and not self._started:
            self._started = True
            self._counts.ttft_s.append(self._loop.time() - self._sent_at)
        self._tail = (self._tail + data)[-64:]
        if self._end in self._tail:
            self._counts.answers += 1
            self._tail = b""
            if self._loop.time() < self._repeat_until:
                self._send()
            else:
                self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        if not self.finished.done():
            self.finished.set_result(None)

    def close(self) -> None:
        self._transport.close()

    def _send(self) -> None:
        self._started = False
        self._sent_at = self._loop.time()
        self._transport.write(self._data)


async def paced_streams(port: int, streams: int, tokens: int, seconds: float) -> Counts:
    """Streams that start spread over one token's time and are given ``seconds``; an unfinished one has failed."""
    loop, counts, clients = asyncio.get_running_loop(), Counts(), []
    data = request_bytes(tokens, stream=True)
    for _ in range(streams):
        made = await loop.create_connection(lambda: Client(data, b"[DONE]", counts, 0.0), "127.0.0.1", port)
        clients.append(made[1])
        await asyncio.sleep(0.005)
    await asyncio.wait([client.finished for client in clients], timeout=seconds + STREAM_END_GRACE_S)
    for client in clients:
        client.close()
    counts.failures = streams - counts.answers
    return counts


async def closed_loop(port: int, connections: int, seconds: float) -> Counts:
    """Non-streaming requests, one after another on each connection."""
    loop, counts, clients = asyncio.get_running_loop(), Counts(), []
    data, ends = request_bytes(8, stream=False), loop.time() + seconds
    for _ in range(connections):
        made = await loop.create_connection(lambda: Client(data, b"}}", counts, ends), "127.0.0.1", port)
        clients.append(made[1])
    await asyncio.wait([client.finished for client in clients], timeout=seconds + 2)
    for client in clients:
        client.close()
    return counts
