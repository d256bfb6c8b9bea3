"""One kept-alive HTTP/1.1 connection that reads a token stream with one clock reading per read.

Locust's own streaming calls wait for 1,024 bytes, about three tokens, and so report the first token late
(docs/decisions/0003-loadtest.md). Here the request's bytes are ready before the clock starts, and each `recv` is
followed at once by `perf_counter_ns`. Plain `socket`: under Locust it is gevent's.
"""

from __future__ import annotations

import socket
import ssl
import time
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import TypedDict, Unpack
from urllib.parse import urlsplit

import orjson
from geventhttpclient.response import HTTPParseError, HTTPResponse

from common.printable import one_line
from loadtest.client.record import REFUSALS, Record, RequestOutcome, outcome_of_answer, outcome_of_status
from loadtest.client.sse import StreamedAnswer, error_text

_READ_SIZE = _ERROR_BODY_LIMIT = 65536
_LEAST_WAIT = 0.1  # seconds; "Retry-After: 0" again and again must not become a storm of our own
_AFTER_DONE_TIMEOUT = 5.0  # seconds; the answer is complete, only HTTP's own end is missing


@dataclass(frozen=True, slots=True)
class Server:
    """Where the requests go. Times in seconds: to connect, to the first text, and between two reads after it.

    `patience`: how long a request may wait in all where a refusal (429, 503) says `Retry-After`; 0: it is final.
    `reuse`: a connection is kept for the next request; not where the server closes it after each answer without saying
    so, for then a request can be on its way when the close arrives.
    """

    host: str
    port: int
    tls: bool
    api_key: str | None = field(repr=False)
    connect_timeout: float = 10.0
    first_token_timeout: float = 600.0
    stall_timeout: float = 120.0
    patience: float = 0.0
    reuse: bool = True

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def request(self, method: str, path: str, body: bytes = b"", request_id: str = "") -> bytes:
        """The whole request as it goes over the wire. No compression: it would hide single tokens."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.authority}", "Accept-Encoding: identity"]
        if self.api_key:
            lines.append(f"Authorization: Bearer {self.api_key}")
        if request_id:
            lines.append(f"X-Request-Id: {request_id}")
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"] if body else []
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


class Patience(TypedDict, total=False):
    """The times of a `Server`, in seconds."""

    connect_timeout: float
    first_token_timeout: float
    stall_timeout: float
    patience: float


def server_at(base_url: str, api_key: str | None, **timeouts: Unpack[Patience]) -> Server:
    """Reads a base URL such as http://127.0.0.1:8080 (a final /v1 is accepted). ValueError when it is not one."""
    parts = urlsplit(base_url)
    if "@" in base_url:  # it is not sent, and messages and reports would repeat it
        raise ValueError("the address has a user or a password before its host; give only http://HOST:PORT")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"'{base_url}' is not an http:// or https:// address; write one such as http://127.0.0.1:8080")
    if parts.path.rstrip("/") not in ("", "/v1"):
        raise ValueError(f"'{base_url}' has a path; give only the address, such as http://127.0.0.1:8080")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return Server(parts.hostname, port, parts.scheme == "https", api_key, **timeouts)


class _Response(HTTPResponse):
    """llhttp's parser; body bytes are collected until taken."""

    def __init__(self) -> None:
        super().__init__("POST")
        self.body = bytearray()

    def _on_body(self, buf: bytearray) -> None:
        self.body += buf

    def take_body(self) -> bytes:
        body = bytes(self.body)
        self.body.clear()
        return body

    @property
    def is_stream(self) -> bool:
        return "text/event-stream" in str(self.get("content-type", ""))


class StreamConnection:
    """Reconnects before sending when the idle socket was closed.

    Once bytes are out a request is repeated only when the server refused it and named a time to come back.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._socket: socket.socket | None = None

    def ensure_open(self) -> None:
        """OSError when the server cannot be reached."""
        if self._socket is not None and not _still_open(self._socket):
            self.close()
        if self._socket is None:
            self._socket = self._connect()

    @property
    def kept(self) -> bool:
        """True when neither side has announced its end, whatever the server may have done without a word."""
        return self._socket is not None

    @property
    def is_open(self) -> bool:
        """False when the server has closed it meanwhile."""
        return self._socket is not None and _still_open(self._socket)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def exchange(self, request: bytes, record: Record) -> Record:
        """Sends one streaming request and fills the record, whatever happens. Raises nothing of the network's."""
        record.begun = perf_counter_ns()
        self._try(request, record)
        while (wait := _wait_of(record, self._server.patience)) is not None:
            time.sleep(max(wait, _LEAST_WAIT))
            _forget(record, wait)
            self._try(request, record)
        record.end = perf_counter_ns()
        return record

    def _try(self, request: bytes, record: Record) -> None:
        try:
            self.ensure_open()
            self._send(request, record)
        except OSError as error:
            self.close()
            record.outcome, record.detail = RequestOutcome.CONNECT, _reason(error)
        else:
            self._read(record)

    def _connect(self) -> socket.socket:
        server = self._server
        plain = socket.create_connection((server.host, server.port), server.connect_timeout)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not server.tls:
            return plain
        return ssl.create_default_context().wrap_socket(plain, server_hostname=server.host)

    def _send(self, request: bytes, record: Record) -> None:
        assert self._socket is not None
        self._socket.settimeout(self._server.first_token_timeout)
        record.send = perf_counter_ns()
        self._socket.sendall(request)
        record.wire = perf_counter_ns()

    def _read(self, record: Record) -> None:
        response = _Response()
        try:
            self._read_to_end(response, record)
        except TimeoutError:
            if record.answer.done:
                record.outcome, record.detail = outcome_of_answer(record.answer)
                self.close()
                return
            late = RequestOutcome.TIMEOUT if record.answer.first is None else RequestOutcome.STALLED
            seconds = self._server.first_token_timeout if late is RequestOutcome.TIMEOUT else self._server.stall_timeout
            record.outcome, record.detail = late, f"no text for {seconds:g} s after {record.answer.events} text events"
        except HTTPParseError as error:
            record.outcome, record.detail = RequestOutcome.MALFORMED, f"not HTTP: {one_line(str(error))}"
        except OSError as error:
            record.outcome, record.detail = RequestOutcome.CUT, _reason(error)
        else:
            record.outcome, record.detail = _judge(response, record)
        if record.outcome is not RequestOutcome.OK or response.should_close() or not self._server.reuse:
            self.close()

    def _read_to_end(self, response: _Response, record: Record) -> None:
        assert self._socket is not None
        receive, streaming = self._socket.recv, False
        deadline = record.send + int(self._server.first_token_timeout * 1e9)
        while not response.message_complete:
            data = receive(_READ_SIZE)
            now = perf_counter_ns()
            if not data:
                return
            response.feed(data)
            if record.status is None and response.headers_complete:
                record.status = response.status_code
                streaming = response.is_stream and 200 <= record.status < 300
            if streaming:
                deadline = self._take(now, response, record, deadline)
            elif len(response.body) > _ERROR_BODY_LIMIT:
                return
            else:
                self._wait_until(deadline, now)

    def _take(self, now: int, response: _Response, record: Record, deadline: int) -> int:
        """The moment until which text, or after [DONE] the end, is waited for. Only text moves it: a server that hangs
        may keep its streams alive with comments."""
        answer, waiting = record.answer, not record.answer.done
        answer.take(now, response.take_body())
        if answer.done and waiting:
            deadline = now + int(_AFTER_DONE_TIMEOUT * 1e9)
        elif answer.last == now:
            deadline = now + int(self._server.stall_timeout * 1e9)
        self._wait_until(deadline, now)
        return deadline

    def _wait_until(self, deadline: int, now: int) -> None:
        if now >= deadline:
            raise TimeoutError
        if self._socket is not None:
            self._socket.settimeout((deadline - now) / 1e9)


def _judge(response: _Response, record: Record) -> tuple[RequestOutcome, str]:
    if record.status is None:
        return RequestOutcome.CUT, "the server closed the connection without an answer"
    if not 200 <= record.status < 300:
        record.retry_after = _seconds(str(response.get("retry-after", "")))
        return outcome_of_status(record.status), _error_detail(response, record.status)
    if not response.is_stream:
        kind = one_line(str(response.get("content-type", "none")), 80)
        return RequestOutcome.MALFORMED, f"content type '{kind}', not text/event-stream"
    return outcome_of_answer(record.answer)


def _seconds(text: str) -> float | None:
    """`Retry-After` in seconds; its other form, a date, is not obeyed: it has no fractions and needs a true clock."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value < 1e6 else None


def _wait_of(record: Record, patience: float) -> float | None:
    """Seconds until the next try; None when there shall be none."""
    if record.outcome not in REFUSALS or record.retry_after is None:
        return None
    return record.retry_after if record.waited / 1e9 + max(record.retry_after, _LEAST_WAIT) <= patience else None


def _forget(record: Record, waited: float) -> None:
    """Makes the record ready for the next try; refusals and waiting stay in it."""
    record.refusals.append(record.status or 0)
    record.waited += int(max(waited, _LEAST_WAIT) * 1e9)
    record.status, record.wire, record.retry_after = None, None, None
    record.outcome, record.detail = RequestOutcome.CONNECT, ""
    record.answer = StreamedAnswer(kept=None if record.answer.kept is None else [])


def _error_detail(response: _Response, status: int) -> str:
    retry = one_line(str(response.get("retry-after") or ""), 40)
    after = f" (Retry-After: {retry})" if retry else ""
    return f"HTTP {status}{after}: {body_message(bytes(response.body))}"


def body_message(body: bytes) -> str:
    """The message of an error body in OpenAI's shape, else the start of the body."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return one_line(body[:200].decode("utf-8", "replace"))
    return error_text(parsed.get("error", parsed) if isinstance(parsed, dict) else parsed)


def _still_open(idle: socket.socket) -> bool:
    """False when the server closed, or sent bytes nobody asked for. TLS session tickets are read and kept."""
    idle.settimeout(0)
    try:
        idle.recv(1)
    except (BlockingIOError, ssl.SSLWantReadError):
        return True
    except OSError:
        return False
    return False


def _reason(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__
