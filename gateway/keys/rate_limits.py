"""Enforces a key's limits: models, requests and tokens a minute, concurrent requests."""

from __future__ import annotations

import math
from collections.abc import Callable

from gateway.core.call import Principal
from gateway.core.errors import Forbidden, Overloaded, StructuredNotAllowed
from gateway.core.record import RequestRecord
from gateway.keys.buckets import MINUTE_S, Buckets

_LEFT = b"x-ratelimit-limit-{0}: %d\r\nx-ratelimit-remaining-{0}: %d\r\nx-ratelimit-reset-{0}: %b\r\n"
_REQUESTS_LEFT = _LEFT.replace(b"{0}", b"requests")
_TOKENS_LEFT = _LEFT.replace(b"{0}", b"tokens")


class KeyLimits:
    """Token buckets and counts by key. Only ever called from the event loop's thread."""

    def __init__(self, buckets: Buckets, clock: Callable[[], float]) -> None:
        self._buckets = buckets
        self._clock = clock

    def permit(self, who: Principal, model: str, structured: bool = False) -> None:
        """Judge the model before anything is said about it, and whether an engine may compile a form for the answer.

        Raises:
            Forbidden: it is not one of the key's; StructuredNotAllowed.
        """
        if who.models is not None and model not in who.models:
            mine = ", ".join(f"'{name}'" for name in sorted(who.models))
            raise Forbidden(f"this key may not use model '{model[:200]}'; it may use {mine}", param="model")
        if structured and not who.structured:
            raise StructuredNotAllowed(
                "this key may not use structured output (a schema, a pattern, a tool that is strict or required)"
            )

    def enter(self, record: RequestRecord) -> bytes:
        """Take a request into account; returns what its key has left, as header lines. `leave` ends it.

        Raises:
            Overloaded: one of its limits is reached; says which, and when to come back.
        """
        who = record.principal
        if who.concurrent is None and who.requests_per_minute is None and who.tokens_per_minute is None:
            return b""
        buckets, now = self._buckets, self._clock()
        if who.concurrent is not None and buckets.full(who.name, who.concurrent):
            # Nobody knows when one of them ends.
            raise self._refusal(who, "concurrent", f"{who.concurrent} requests at once", 1.0)
        self._take(record, now)
        if who.concurrent is not None:
            buckets.enter(who.name)
        return self._headers(who, now)

    def leave(self, record: RequestRecord) -> None:
        """A request that was let in has ended: what it was charged is set right by what it has used."""
        who, usage = record.principal, record.usage
        if who.concurrent is not None:
            self._buckets.leave(who.name)
        if who.tokens_per_minute is None:
            return
        used = usage.prompt_tokens + usage.completion_tokens if usage is not None else 0
        self._buckets.correct(_tokens(who), used - record.charged, who.tokens_per_minute, self._clock())

    def left(self, who: Principal) -> list[dict[str, object]]:
        """Each limit that a key has: what it is, how much of it is left now, in how many seconds all of it is again."""
        found: list[dict[str, object]] = []
        now = self._clock()
        if (limit := who.requests_per_minute) is not None:
            missing = self._buckets.missing(_requests(who), now)
            found.append(_entry("requests_per_minute", limit, _left(limit, missing), missing))
        if (limit := who.tokens_per_minute) is not None:
            missing = self._buckets.missing(_tokens(who), now)
            found.append(_entry("tokens_per_minute", limit, _left(limit, missing), missing))
        if (limit := who.concurrent) is not None:
            found.append(_entry("concurrent", limit, max(0, limit - self._buckets.running(who.name)), 0.0))
        return found

    def _take(self, record: RequestRecord, now: float) -> None:
        """Of both buckets or of neither."""
        who, call = record.principal, record.call
        buckets, requests, tokens = self._buckets, who.requests_per_minute, who.tokens_per_minute
        if requests is not None and (wait := buckets.take(_requests(who), 1, requests, now)):
            raise self._refusal(who, "requests_per_minute", f"{requests} requests a minute", wait)
        if tokens is None:
            return
        charged = call.prompt_tokens + call.expected_output
        if wait := buckets.take(_tokens(who), charged, tokens, now):
            if requests is not None:
                buckets.correct(_requests(who), -1, requests, now)
            raise self._refusal(who, "tokens_per_minute", f"{tokens} tokens a minute", wait)
        record.charged = charged

    def _refusal(self, who: Principal, reason: str, limit: str, wait: float) -> Overloaded:
        seconds = max(1, math.ceil(wait))
        error = Overloaded(
            f"this key's limit of {limit} is reached; try again in {seconds} s", retry_after=seconds, reason=reason
        )
        # OpenAI's clients look at this one first.
        error.headers = b"retry-after-ms: %d\r\n" % math.ceil(wait * 1000) + self._headers(who, self._clock())
        return error

    def _headers(self, who: Principal, now: float) -> bytes:
        """What is left of the limits a minute. The names are OpenAI's; reset is when all of a limit is there again."""
        lines = b""
        if (limit := who.requests_per_minute) is not None:
            missing = self._buckets.missing(_requests(who), now)
            lines = _REQUESTS_LEFT % (limit, _left(limit, missing), duration(missing))
        if (limit := who.tokens_per_minute) is not None:
            missing = self._buckets.missing(_tokens(who), now)
            lines += _TOKENS_LEFT % (limit, _left(limit, missing), duration(missing))
        return lines


def _entry(name: str, limit: int, left: int, whole_in_s: float) -> dict[str, object]:
    return {"name": name, "limit": limit, "left": left, "whole_in_s": int(whole_in_s * 10 + 0.5) / 10}


def _left(limit: int, missing: float) -> int:
    left = int(limit - missing * limit / MINUTE_S + 1e-6)
    return left if left > 0 else 0


def duration(seconds: float) -> bytes:
    """As OpenAI writes it: 120ms, 2s, 6m0s; rounded up."""
    if seconds < 1:
        return b"%dms" % math.ceil(seconds * 1000)
    whole = math.ceil(seconds)
    return b"%ds" % whole if whole < MINUTE_S else b"%dm%ds" % divmod(whole, 60)


def _requests(who: Principal) -> str:
    return who.name + "/requests"


def _tokens(who: Principal) -> str:
    return who.name + "/tokens"
