"""Plain HTTP requests of the command line to our own gateway and engine."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from common import http_get


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


def get(url: str, timeout: float = 5.0) -> HttpResponse:
    """GET `url`, http or unix; never raises for what the network or the server does."""
    return _told(lambda: http_get.get(url, timeout))


def metrics(url: str, timeout: float = 5.0) -> str:
    """The `/metrics` of a server; empty when it does not answer."""
    answer = get(f"{url}/metrics", timeout)
    return answer.text if answer.status == 200 else ""


def fetch(url: str, key: str, timeout: float) -> HttpResponse:
    """GET `url`, http, with the API key."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"})
    return _told(lambda: http_get.send(request, timeout))


def post(url: str, body: dict[str, Any], key: str, timeout: float) -> HttpResponse:
    """POST `body` as JSON with the API key."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    return _told(lambda: http_get.send(request, timeout))


def _told(ask: Callable[[], tuple[int, bytes]]) -> HttpResponse:
    try:
        status, body = ask()
    except http_get.FAULTS as error:
        return HttpResponse(0, str(error) or type(error).__name__)
    return HttpResponse(status, body.decode("utf-8", "replace"))
