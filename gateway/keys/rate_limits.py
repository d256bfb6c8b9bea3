"""What each key may: models, requests and tokens a minute, requests at once."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import TracebackType

from gateway.core.call import Call, Principal, Usage
from gateway.core.errors import Forbidden, Overloaded, StructuredNotAllowed
from gateway.keys.buckets import MINUTE_S, Buckets

_LEFT = b"x-ratelimit-limit-{0}: %d\r\nx-ratelimit-remaining-{0}: %d\r\nx-ratelimit-reset-{0}: %b\r\n"
_REQUESTS_LEFT = _LEFT.replace(b"{0}", b"requests")
_TOKENS_LEFT = _LEFT.replace(b"{0}", b"tokens")


class Charge:
    """One request within its key's limits, from its admission to its end.

    ``headers``: what its key has left, as header lines.
    """

    __slots__ = ("_charged", "_limits", "_usage", "_who", "headers")

    def __init__(self, limits: KeyLimits, who: Principal, charged: float, headers: bytes) -> None:
        self._limits = limits
        self._who = who
        self._charged = charged
        self.headers = headers
        self._usage: Usage | None = None

    def used(self, usage: Usage | None) -> None:
        """What it cost in the end."""
        self._usage = usage

    def __enter__(self) -> Charge:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._limits.left(self._who, self._charged, self._usage)


class _NoCharge(Charge):
    """Of a key without limits; one for all, since it keeps nothing."""

    __slots__ = ()

    def __init__(self) -> None:
        self.headers = b""

    def used(self, usage: Usage | None) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        pass


class KeyLimits:
    """Token buckets and counts by key. Only ever called from the event loop's thread."""

    def __init__(self, state: Buckets, clock: Callable[[], float]) -> None:
        self._state = state
        self._clock = clock
        self._free = _NoCharge()

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

    def enter(self, who: Principal, call: Call) -> Charge:
        """Take a request into account. The caller leaves the returned context when the request has ended.

        Raises:
            Overloaded: one of its limits is reached; says which, and when to come back.
        """
        if who.concurrent is None and who.requests_per_minute is None and who.tokens_per_minute is None:
            return self._free
        state, now = self._state, self._clock()
        if who.concurrent is not None and state.running(who.name) >= who.concurrent:
            # Nobody knows when one of them ends.
            raise self._refusal(who, "concurrent", f"{who.concurrent} requests at once", 1.0)
        charged = self._take(who, call, now)
        if who.concurrent is not None:
            state.enter(who.name)
        return Charge(self, who, charged, self._headers(who, now))

    def left(self, who: Principal, charged: float, usage: Usage | None) -> None:
        """A request has ended: what it was charged is set right by what it has used."""
        if who.concurrent is not None:
            self._state.leave(who.name)
        if who.tokens_per_minute is None:
            return
        used = usage.prompt_tokens + usage.completion_tokens if usage is not None else 0
        self._state.correct(_tokens(who), used - charged, who.tokens_per_minute, self._clock())

    def _take(self, who: Principal, call: Call, now: float) -> float:
        """Both buckets or neither; returns what the tokens' was charged."""
        state, requests, tokens = self._state, who.requests_per_minute, who.tokens_per_minute
        if requests is not None and (wait := state.take(_requests(who), 1, requests, now)):
            raise self._refusal(who, "requests_per_minute", f"{requests} requests a minute", wait)
        if tokens is None:
            return 0.0
        charged = call.prompt_tokens + call.expected_output
        if wait := state.take(_tokens(who), charged, tokens, now):
            if requests is not None:
                state.correct(_requests(who), -1, requests, now)
            raise self._refusal(who, "tokens_per_minute", f"{tokens} tokens a minute", wait)
        return charged

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
            missing = self._state.missing(_requests(who), now)
            lines = _REQUESTS_LEFT % (limit, _left(limit, missing), duration(missing))
        if (limit := who.tokens_per_minute) is not None:
            missing = self._state.missing(_tokens(who), now)
            lines += _TOKENS_LEFT % (limit, _left(limit, missing), duration(missing))
        return lines


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
