"""A few plain HTTP requests to our own gateway and engine, for the command line only."""

from __future__ import annotations

import http.client
import json
import re
import socket
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class HttpResponse:
    """Status 0 means that nothing answered; `text` then says why."""

    status: int
    text: str

    def json(self) -> dict[str, Any]:
        """The body as a JSON object; empty when it is none."""
        try:
            data = json.loads(self.text)
        except ValueError:
            return {}
        return data if isinstance(data, dict) else {}


# unix:/run/engine.sock/metrics: a path within a socket's; what follows the last `.sock` is asked for.
_UNIX = re.compile(r"unix:(/.*\.sock)(/.*)?")

# A proxy named in the environment must never see requests to our own machine.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def get(url: str, timeout: float = 5.0) -> HttpResponse:
    """GET `url`, http or unix; never raises for what the network or the server does."""
    behind = _UNIX.fullmatch(url)
    if behind:
        return _ask_socket(behind[1], behind[2] or "/", timeout)
    return _send(urllib.request.Request(url), timeout)


def metrics(url: str, timeout: float = 5.0) -> str:
    """The `/metrics` of a server; empty when it does not answer."""
    answer = get(f"{url}/metrics", timeout)
    return answer.text if answer.status == 200 else ""


def post(url: str, body: dict[str, Any], key: str, timeout: float) -> HttpResponse:
    """POST `body` as JSON with the API key."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    return _send(urllib.request.Request(url, json.dumps(body).encode(), headers), timeout)


def _send(request: urllib.request.Request, timeout: float) -> HttpResponse:
    try:
        with _OPENER.open(request, timeout=timeout) as response:
            return HttpResponse(response.status, response.read().decode("utf-8", "replace"))
    except urllib.error.HTTPError as error:
        with error:
            return HttpResponse(error.code, _rest(error))
    except (OSError, ValueError, http.client.HTTPException) as error:
        return HttpResponse(0, str(error) or type(error).__name__)


class _SocketConnection(http.client.HTTPConnection):
    """HTTP to a Unix socket, where the engines of the process runtime listen."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _ask_socket(path: str, target: str, timeout: float) -> HttpResponse:
    connection = _SocketConnection(path, timeout)
    try:
        connection.request("GET", target)
        response = connection.getresponse()
        return HttpResponse(response.status, response.read().decode("utf-8", "replace"))
    except (OSError, ValueError, http.client.HTTPException) as error:
        return HttpResponse(0, str(error) or type(error).__name__)
    finally:
        connection.close()


def _rest(error: urllib.error.HTTPError) -> str:
    try:
        return error.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        return ""
