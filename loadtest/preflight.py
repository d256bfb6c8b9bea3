"""Before a run: is the server there, does it take the key, has it the model, and how many words make a token?"""

from __future__ import annotations

import http.client
import ssl
import time
from dataclasses import dataclass, replace
from time import perf_counter_ns

import orjson

from loadtest.connection import Connection, Server, body_message
from loadtest.errors import ServerProblem, UsageProblem
from loadtest.prompts import CHAT_PATH, Prompts, line_through
from loadtest.record import Outcome, Record

_PROBE_WORDS = (8, 64)
_CLOSES_WITHIN_S = 0.1
_FATAL = (
    Outcome.CONNECT,
    Outcome.UNAUTHORISED,
    Outcome.FORBIDDEN,
    Outcome.NOT_FOUND,
    Outcome.UNAVAILABLE,
    Outcome.CLIENT_ERROR,
)


def check_model(server: Server, base_url: str, model: str) -> str:
    """The model's name; the first that is served, when none is given. One-line problems when no run could succeed."""
    names = served_models(server, base_url)
    if not model and names:
        return names[0]
    if model not in names:
        raise UsageProblem(
            f"--model: '{model}' is not served at {base_url}; it serves: {', '.join(names) or 'nothing'}"
        )
    return model


def served_models(server: Server, base_url: str) -> list[str]:
    """The names in /v1/models. ServerProblem when they cannot be had."""
    status, body = _get(server, base_url, "/v1/models")
    if status in (401, 403):
        raise ServerProblem(f"{base_url}: the key was refused (HTTP {status}); give the right one by --api-key-file")
    if status != 200:
        raise ServerProblem(f"{base_url}/v1/models: HTTP {status}: {body_message(body)}")
    names = _model_names(body)
    if names is None:
        raise ServerProblem(f"{base_url}/v1/models: the answer is not an OpenAI model list")
    return names


@dataclass(frozen=True, slots=True)
class Calibrated:
    """`reuse`: a connection can be kept for the next request. `line` is for the report's reader."""

    prompts: Prompts
    reuse: bool
    line: str


def calibrate(server: Server, prompts: Prompts) -> Calibrated:
    """The prompts with this server's tokens per word, and whether it keeps connections.

    Two tiny requests tell the template's overhead and the tokens per word. If they fail in a way that a run should
    name (cut, stalled, …), the run goes on with one token per word; if no run can succeed, ServerProblem.
    """
    points, reuse = [], True
    for words in _PROBE_WORDS:
        record, kept = _probe(server, prompts, words)
        reuse = reuse and kept
        if record.outcome in _FATAL:
            raise ServerProblem(f"{server.authority}: a first request failed ({record.outcome}): {record.detail}")
        if not record.ok or record.answer.usage is None:
            reason = record.detail or "the answer has no usage"
            return Calibrated(prompts, reuse, f"prompt length not calibrated: {reason}")
        points.append((words, record.answer.usage.prompt))
    per_word, overhead = line_through(points[0], points[1])
    known = replace(prompts, tokens_per_word=per_word, overhead_tokens=overhead)
    line = f"{per_word:.2f} tokens a word and {overhead:.0f} for the template here"
    closes = "" if reuse else "; it closes each connection after its answer, so each request has a new one"
    return Calibrated(known, reuse, line + closes)


def _probe(server: Server, prompts: Prompts, words: int) -> tuple[Record, bool]:
    """The record, and whether the connection was usable a moment after a good answer that did not announce its end."""
    connection = Connection(server)
    messages = [{"role": "user", "content": prompts.text(f"probe-{words}", words)}]
    request = server.request("POST", CHAT_PATH, prompts.body(messages, prompts.kinds[0], max_tokens=1))
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
