"""`python -m loadtest.selfcheck.engine`: a server whose times are known, for `selfcheck`.

It streams as vLLM does: all requests that run get their next token in the same step, in events of vLLM's size. It notes
when it had read each request and when it wrote each token; GET /truth tells. It ends with its stdin.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Sequence
from time import perf_counter_ns
from typing import cast

_FIRST_TOKEN_S = 0.1
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"


def _event(choices: object, **more: object) -> bytes:
    body = {"id": "chatcmpl-" + "0" * 32, "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "known"}
    data = b"data: " + json.dumps({**body, "choices": choices, **more}, separators=(",", ":")).encode() + b"\n\n"
    return b"%x\r\n%s\r\n" % (len(data), data)


def _choice(delta: dict[str, str], finish: str | None = None) -> list[dict[str, object]]:
    return [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish, "token_ids": None}]


_ROLE = _event(_choice({"role": "assistant", "content": ""}))
_TOKEN = _event(_choice({"content": " token"}))
_LAST = _event(_choice({"content": " token"}, "length"))


class KnownEngine:
    """Steps at a fixed rate while anything runs; `truth` by request id."""

    def __init__(self, tokens_per_s: float) -> None:
        self.truth: dict[str, dict[str, object]] = {}
        self._running: list[Stream] = []
        self._step_s = 1 / tokens_per_s
        self._next = 0.0
        self._loop = asyncio.get_running_loop()

    def add(self, stream: Stream) -> None:
        if not self._running:
            self._next = self._loop.time() + self._step_s
            self._loop.call_at(self._next, self._step)
        self._running.append(stream)

    def _step(self) -> None:
        now = self._loop.time()
        for stream in [one for one in self._running if one.due <= now]:
            if not stream.write_token():
                self._running.remove(stream)
        if self._running:
            self._next += self._step_s
            self._loop.call_at(self._next, self._step)


class Stream:
    """One answer under way."""

    def __init__(self, transport: asyncio.Transport, tokens: int, due: float, writes: list[int]) -> None:
        self.due = due
        self._transport = transport
        self._tokens = tokens
        self._writes = writes

    def write_token(self) -> bool:
        """False when that was the last, or nobody reads any more."""
        if self._transport.is_closing():
            return False
        opening = b"" if self._writes else _HEAD + _ROLE
        last = len(self._writes) + 1 == self._tokens
        data = opening + (_LAST if last else _TOKEN)
        if last:
            usage = {"prompt_tokens": 16, "completion_tokens": self._tokens, "total_tokens": 16 + self._tokens}
            data += _event([], usage=usage) + b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
        self._writes.append(perf_counter_ns())
        self._transport.write(data)
        return not last


class KnownConnection(asyncio.Protocol):
    """Just enough HTTP for our own client: one request at a time, its length in Content-Length."""

    def __init__(self, engine: KnownEngine) -> None:
        self._engine = engine
        self._buffer = b""
        self._received = 0
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._received = perf_counter_ns()
        self._buffer += data
        head, blank, body = self._buffer.partition(b"\r\n\r\n")
        if not blank:
            return
        lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        if len(body) < int(headers.get("content-length", 0)):
            return
        self._buffer = b""
        self._answer(lines[0].split(" ")[1], headers, body)

    def _answer(self, path: str, headers: dict[str, str], body: bytes) -> None:
        if path == "/truth":
            content = json.dumps(self._engine.truth).encode()
            self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(content) + content)
            return
        writes: list[int] = []
        self._engine.truth[headers.get("x-request-id", "")] = {"read": self._received, "writes": writes}
        due = asyncio.get_running_loop().time() + _FIRST_TOKEN_S
        self._engine.add(Stream(self._transport, int(json.loads(body)["max_tokens"]), due, writes))


async def _serve(tokens_per_s: float) -> None:
    loop = asyncio.get_running_loop()
    engine = KnownEngine(tokens_per_s)
    server = await loop.create_server(lambda: KnownConnection(engine), "127.0.0.1", 0, backlog=1024)
    try:
        os.write(1, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}\n".encode())
    except BrokenPipeError:  # Ctrl-C while we began: whoever started us is gone
        server.close()
        return
    over = asyncio.Event()
    loop.add_reader(sys.stdin, over.set)
    await over.wait()
    loop.remove_reader(sys.stdin)
    server.close()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtest.selfcheck.engine", description="Streams at a known pace.")
    parser.add_argument("--tokens-per-s", type=float, default=50.0, help="of each stream")
    asyncio.run(_serve(parser.parse_args(arguments).tokens_per_s))
    return 0


if __name__ == "__main__":
    sys.exit(main())
