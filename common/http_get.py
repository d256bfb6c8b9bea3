"""GET of a page of our own gateway or engine, over TCP or a Unix socket; not on a request's way."""

from __future__ import annotations

import http.client
import re
import socket
import urllib.error
import urllib.request

# unix:/run/engine.sock/metrics: a path within a socket's; what follows the last `.sock` is asked for.
_UNIX = re.compile(r"unix:(/.*\.sock)(/.*)?")
# A proxy named in the environment must never see requests to our own machine.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
# What a server or the network can do to a request.
FAULTS = (OSError, ValueError, http.client.HTTPException)


def get(url: str, timeout: float) -> tuple[int, bytes]:
    """Status and body, whatever the status; `timeout` in seconds, of each read.

    Raises:
        FAULTS: nothing answers, in no HTTP, or not in time; or `url` is none.
    """
    behind = _UNIX.fullmatch(url)
    if behind:
        return _behind_socket(behind[1], behind[2] or "/", timeout)
    return send(urllib.request.Request(url), timeout)


def send(request: urllib.request.Request, timeout: float) -> tuple[int, bytes]:
    """The same for a request with a body or headers, over TCP. Of an answer above 399 the body may be cut off."""
    try:
        with _OPENER.open(request, timeout=timeout) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            try:
                return error.code, error.read()
            except FAULTS:
                return error.code, b""


class _SocketConnection(http.client.HTTPConnection):
    """HTTP to a Unix socket, where the engines of the process runtime listen."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _behind_socket(path: str, target: str, timeout: float) -> tuple[int, bytes]:
    connection = _SocketConnection(path, timeout)
    try:
        connection.request("GET", target)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()
