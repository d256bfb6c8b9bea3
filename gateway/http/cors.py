"""CORS: which web pages may call the gateway (https://fetch.spec.whatwg.org/#http-cors-protocol).

A browser that is not told so keeps the answer from the page's script. This is no protection of the gateway: a key is
needed all the same, and cookies play no part.
"""

from __future__ import annotations

from collections.abc import Set

from gateway.http.messages import Request

# What scripts may read of an answer, besides its body.
_EXPOSED = (
    b"x-request-id, retry-after, retry-after-ms, x-queue-position, x-queue-wait, x-ratelimit-limit-requests, "
    b"x-ratelimit-remaining-requests, x-ratelimit-reset-requests, x-ratelimit-limit-tokens, "
    b"x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens"
)
_ANY = b"*"
MAX_AGE_S = 600


def headers(request: Request, origins: Set[bytes]) -> bytes:
    """The header lines for any answer to ``request``, errors and streams too; none where no page may ask."""
    if not origins:
        return b""
    if _ANY in origins:
        allowed, vary = _ANY, b""
    else:
        vary = b"vary: Origin\r\n"  # caches must not give one page's answer to another
        allowed = request.headers.get(b"origin", b"")
        if allowed not in origins:
            return vary
    return b"access-control-allow-origin: %b\r\naccess-control-expose-headers: %b\r\n%b" % (allowed, _EXPOSED, vary)


def is_preflight(request: Request, origins: Set[bytes]) -> bool:
    """Whether a browser asks, without a key, if a page of one of ``origins`` may send a request."""
    return (
        request.method == b"OPTIONS"
        and b"access-control-request-method" in request.headers
        and (_ANY in origins or request.headers.get(b"origin", b"") in origins)
    )


def permission(request: Request, methods: Set[bytes]) -> bytes:
    """The header lines that answer a preflight. ``methods``: of the path. Clients' own headers are all let in."""
    asked = request.headers.get(b"access-control-request-headers", b"")
    lines = b"access-control-allow-methods: %b\r\naccess-control-max-age: %d\r\n" % (
        b", ".join(sorted(methods)),
        MAX_AGE_S,
    )
    return lines + (b"access-control-allow-headers: %b\r\n" % asked if asked else b"")
