"""A few plain HTTP requests to our own gateway and engine, for the command line only."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answer:
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


# A proxy named in the environment must never see requests to our own machine.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def get(url: str, timeout: float = 5.0) -> Answer:
    """GET `url`; never raises for what the network or the server does."""
    return _send(urllib.request.Request(url), timeout)


def post(url: str, body: dict[str, Any], key: str, timeout: float) -> Answer:
    """POST `body` as JSON with the API key."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    return _send(urllib.request.Request(url, json.dumps(body).encode(), headers), timeout)


def _send(request: urllib.request.Request, timeout: float) -> Answer:
    try:
        with _OPENER.open(request, timeout=timeout) as response:
            return Answer(response.status, response.read().decode("utf-8", "replace"))
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, _rest(error))
    except (OSError, ValueError, http.client.HTTPException) as error:
        return Answer(0, str(error) or type(error).__name__)


def _rest(error: urllib.error.HTTPError) -> str:
    try:
        return error.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        return ""
