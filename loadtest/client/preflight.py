"""Checks before a run: the server answers, takes the key, has the model; measures tokens per word."""

from __future__ import annotations

import http.client
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Event, Thread
from time import perf_counter_ns

import orjson

from common.printable import one_line
from loadtest.client.connection import Server, StreamConnection, body_message
from loadtest.client.record import Record, RequestOutcome
from loadtest.client.token_counts import TokenCounts, several_counted
from loadtest.core.errors import ServerProblem, UsageProblem
from loadtest.workload.requests import CHAT_PATH, ChatRequests

_SHORT_WORDS, _LONG_WORDS, _LONG_TOKENS = 8, 64, 24
_PATIENCE_S = 30.0
_CLOSES_WITHIN_S = 0.1
_FATAL = (
    RequestOutcome.CONNECT,
    RequestOutcome.TIMEOUT,
    RequestOutcome.UNAUTHORISED,
    RequestOutcome.FORBIDDEN,
    RequestOutcome.NOT_FOUND,
    RequestOutcome.UNAVAILABLE,
    RequestOutcome.CLIENT_ERROR,
)


def check_model(server: Server, base_url: str, model: str) -> str:
    """The model's name; the only one that is served, when none is given. One-line problems when no run can succeed."""
    names = served_models(server, base_url)
    if not model and len(names) == 1:
        return names[0]
    if not model and names:
        raise UsageProblem(f"--model: name one; {base_url} serves: {one_line(', '.join(names))}")
    if model not in names:
        served = one_line(", ".join(names) or "nothing")
        raise UsageProblem(f"--model: '{model}' is not served at {base_url}; it serves: {served}")
    return model


def served_models(server: Server, base_url: str) -> list[str]:
    """The names in /v1/models. ServerProblem when they cannot be had."""
    status, body = _get(server, base_url, "/v1/models")
    if status in (401, 403):
        raise ServerProblem(f"{base_url}: the key was refused (HTTP {status}); give a valid one with --api-key-file")
    if status != 200:
        raise ServerProblem(f"{base_url}/v1/models: HTTP {status}: {body_message(body)}")
    names = _model_names(body)
    if names is None:
        raise ServerProblem(
            f"{base_url}/v1/models: not an OpenAI model list; give the address of an OpenAI-compatible server"
        )
    return names


@dataclass(frozen=True, slots=True)
class Calibrated:
    """`reuse`: a connection can be kept for the next request. `line` is for the report's reader."""

    requests: ChatRequests
    reuse: bool
    line: str


def calibrate(
    server: Server, requests: ChatRequests, counts: TokenCounts = "auto", tell: Callable[[str], None] = lambda _: None
) -> Calibrated:
    """The requests with this server's tokens per word, whether it keeps connections, and whether to ask for counts.

    Two small requests tell. If they fail in a way that a run should name (cut, stalled, …), the run goes on with one
    token per word; ServerProblem if no run can succeed. `tell` gets a line when the first answer is long in coming.
    """
    short, kept = _waited_for(server, requests, tell)
    failed = _failure(server, short)
    if failed is not None:
        return Calibrated(replace(requests, ask_counts=counts == "always"), kept, failed)
    asking = replace(requests, ask_counts=counts != "never")
    long, kept_too = _probe(server, asking, _LONG_WORDS, _LONG_TOKENS)
    if asking.ask_counts and long.outcome is RequestOutcome.CLIENT_ERROR:  # it does not know that field
        asking = replace(asking, ask_counts=False)
        long, kept_too = _probe(server, asking, _LONG_WORDS, _LONG_TOKENS)
    failed = _failure(server, long)
    asked = asking.ask_counts and (counts == "always" or several_counted(long.answer))
    reuse = kept and kept_too
    if failed is not None or short.answer.usage is None or long.answer.usage is None:
        return Calibrated(replace(requests, ask_counts=asked), reuse, failed or "")
    per_word, overhead = line_through(
        (_SHORT_WORDS, short.answer.usage.prompt), (_LONG_WORDS, long.answer.usage.prompt)
    )
    known = replace(requests, source=requests.source.calibrated(per_word, overhead), ask_counts=asked)
    line = f"{per_word:.2f} tokens a word and {overhead:.0f} for the template here"
    line += "; the server counts the tokens of each event" if asked else ""
    closes = "" if reuse else "; it closes each connection after its answer, so each request has a new one"
    return Calibrated(known, reuse, line + closes)


def _failure(server: Server, record: Record) -> str | None:
    """Why the prompts stay uncalibrated; None when they need not. ServerProblem when no run can succeed."""
    if record.outcome in _FATAL:
        raise ServerProblem(f"{server.authority}: a first request failed ({record.outcome}): {record.detail}")
    if not record.ok or record.answer.usage is None:
        return f"prompt length not calibrated: {record.detail or 'the answer has no usage'}"
    return None


def _waited_for(server: Server, requests: ChatRequests, tell: Callable[[str], None]) -> tuple[Record, bool]:
    """The first probe. While its answer does not come, a line says so: the wait may be long."""
    over = Event()

    def watch() -> None:
        waited = 0.0
        while not over.wait(_PATIENCE_S):
            waited += _PATIENCE_S
            most = f"at most {server.first_token_timeout:g} s (--first-token-timeout)"
            tell(f"no answer from {server.authority} to a first small request for {waited:.0f} s; waiting {most}")

    watching = Thread(target=watch, daemon=True, name="waiting for a first answer")
    watching.start()
    try:
        return _probe(server, requests, _SHORT_WORDS, 1)
    finally:
        over.set()
        watching.join()


def _probe(server: Server, requests: ChatRequests, words: int, tokens: int) -> tuple[Record, bool]:
    """The record, and whether the connection was usable a moment after a good answer that did not announce its end."""
    connection = StreamConnection(server)
    messages = [{"role": "user", "content": requests.run.text(f"probe-{words}", words)}]
    body = requests.body(messages, tokens, requests.source.lengths.exact)
    request = server.request("POST", CHAT_PATH, body)
    now = perf_counter_ns()
    try:
        record = connection.exchange(request, Record(0, 0, words, plan=now, send=now))
        announced = not connection.kept
        time.sleep(_CLOSES_WITHIN_S)
        return record, announced or connection.is_open
    finally:
        connection.close()


def _get(server: Server, base_url: str, path: str) -> tuple[int, bytes]:
    kind = http.client.HTTPSConnection if server.tls else http.client.HTTPConnection
    connection = kind(server.host, server.port, timeout=server.connect_timeout)
    headers = {"Authorization": f"Bearer {server.api_key}"} if server.api_key else {}
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read()
    except ssl.SSLError as error:
        raise ServerProblem(f"{base_url}: TLS failed: {error.reason or error}") from error
    except TimeoutError as error:
        raise ServerProblem(f"{base_url}: no answer within {server.connect_timeout:g} s") from error
    except OSError as error:
        raise ServerProblem(f"{base_url}: cannot be reached: {error.strerror or error}") from error
    except http.client.HTTPException as error:
        raise ServerProblem(f"{base_url}: does not speak HTTP: {error!r}") from error
    finally:
        connection.close()


def _model_names(body: bytes) -> list[str] | None:
    try:
        models = orjson.loads(body)["data"]
        return [str(entry["id"]) for entry in models]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None


def line_through(short: tuple[int, int], long: tuple[int, int]) -> tuple[float, float]:
    """(tokens per word, tokens of overhead) through two measured points (words, prompt tokens).

    (1, 0) where the longer prompt is not the one with more tokens: such a server's counts tell nothing.
    """
    per_word = (long[1] - short[1]) / (long[0] - short[0])
    return (per_word, max(0.0, short[1] - short[0] * per_word)) if per_word > 0 else (1.0, 0.0)
