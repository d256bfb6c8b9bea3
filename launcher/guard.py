"""An ASGI middleware in front of an engine's routes: what the gateway uses passes, and nothing else of vLLM.

Dev mode, which sleeping needs, also brings routes that run any method in the workers, change weights and show the
whole configuration. ``vllm serve … --middleware launcher.guard.RouteGuard`` puts this before all of them. It stands
alone: it runs inside vLLM.
"""

from __future__ import annotations

import hmac
import json
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

HEADER = b"x-fullbatch-secret"
# What the gateway asks engines for by itself, and Prometheus.
WATCHED = frozenset({"/health", "/metrics", "/v1/models"})
# What it sends clients' requests to: the allow-list of gateway/api/routes.py, as far as engines see it.
SERVED = frozenset(
    {
        "/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses", "/v1/messages",
        "/v1/messages/count_tokens", "/v1/score", "/score", "/v1/rerank", "/rerank", "/v2/rerank", "/classify",
        "/pooling", "/tokenize", "/detokenize",
    }
)  # fmt: skip
# With the secret: method, path and the only query that passes. `mode=abort`, vLLM's own default, would cut answers, and
# level 2 throws the weights away.
SLEEPING = frozenset(
    {("POST", "/sleep", b"level=1&mode=wait"), ("POST", "/wake_up", b""), ("GET", "/is_sleeping", b"")}
)
_NOT_FOUND = json.dumps({"detail": "Not Found"}).encode()

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class RouteGuard:
    """Everything that is not let through is told what an unknown path is told."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._secret = os.environ.get("FULLBATCH_GUARD_SECRET", "").encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or (scope["type"] == "http" and self._lets_through(scope)):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_NOT_FOUND))]
            await send({"type": "http.response.start", "status": 404, "headers": headers})
            await send({"type": "http.response.body", "body": _NOT_FOUND})

    def _lets_through(self, scope: Scope) -> bool:
        path = scope["path"]
        if path in SERVED or path in WATCHED:
            return True
        if (scope["method"], path, scope.get("query_string", b"")) not in SLEEPING or not self._secret:
            return False
        said = [value for name, value in scope["headers"] if name == HEADER]
        return len(said) == 1 and hmac.compare_digest(said[0], self._secret)
