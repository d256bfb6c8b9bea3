"""Asking another server before it is used, from a program that a person has started: slowly, and with words.

ServerRefused   it is not to be used; one line: where, what, and what would be right
"""

from __future__ import annotations

import contextlib
import http.client
import time
from collections.abc import Iterator

from gateway.config.engine_settings import EngineSettings
from gateway.engines import peer_report
from gateway.engines.far import header_lines, listed_models, secured
from gateway.engines.peer_report import PeerRefused, PeerReport
from gateway.http.client import why

TIMEOUT_S = 10.0
MAX_ANSWER = 1 << 20


class ServerRefused(Exception):
    """The message is one line: where, what, and what would be right."""


def listed(entry: EngineSettings, model: str) -> None:
    """ServerRefused: the server cannot be asked, or has no such model."""
    with _told(entry):
        status, body = _get(entry, "/v1/models")
    if status != 200:
        raise ServerRefused(f"{entry.url}: it answers {status} at /v1/models; look at its key")
    if model not in (known := listed_models(body)):
        names = ", ".join(sorted(known)[:20]) or "none"
        raise ServerRefused(f"{entry.url}: it has no model '{model}'; give one of these by --spill-model: {names}")


def ask(engine: EngineSettings) -> PeerReport:
    """Ask a peer what it serves.

    Raises:
        ServerRefused: it cannot be reached, or is not to be used.
    """
    with _told(engine):
        status, body = _get(engine, peer_report.PATH.decode())
        return peer_report.read(status, body, time.time())


@contextlib.contextmanager
def _told(engine: EngineSettings) -> Iterator[None]:
    """What goes wrong on the way, as a person is told."""
    try:
        yield
    except PeerRefused as refused:
        raise ServerRefused(f"{engine.url}: {refused}") from None
    except TimeoutError:
        raise ServerRefused(f"{engine.url}: it did not answer within {TIMEOUT_S:g} s") from None
    except OSError as error:
        raise ServerRefused(f"{engine.url}: no connection: {why(error) if error.errno else error}") from None
    except (http.client.HTTPException, ValueError) as error:
        raise ServerRefused(f"{engine.url}: it does not speak HTTP as it should ({type(error).__name__})") from None


def _get(engine: EngineSettings, path: str) -> tuple[int, bytes]:
    tls = secured(engine)
    if tls is None:
        connection = http.client.HTTPConnection(engine.host, engine.port, timeout=TIMEOUT_S)
    else:
        connection = http.client.HTTPSConnection(engine.host, engine.port, timeout=TIMEOUT_S, context=tls.context)
    headers = dict(line.split(": ", 1) for line in header_lines(engine, "peers").decode().splitlines())
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read(MAX_ANSWER)
    finally:
        connection.close()
