"""Judges the head of an engine's answer: whether an answer follows, else which error it is. Pure."""

from __future__ import annotations

from gateway.core.errors import EngineBroken, EngineFull, FarRefused, GatewayError, How, NotServed
from gateway.http.client import Head
from gateway.http.messages import JSON

RETRY_AFTER_S = 1


# Of another box's gateway: it has not begun, whatever its reason; another one may.
_FAR_NOT_BEGUN = frozenset({429, 503, 508})


def refused(head: Head, engine: str, stream: bool, far: bool = False) -> GatewayError | None:
    """What a head comes to that begins no answer; None if it begins one, or a refusal that the client is to see.

    ``stream``: whether one was asked for. ``far``: another box's gateway answers.
    """
    status = head.status
    if status == 200 and head.events == stream and head.length != 0 and not head.coding and head.content_type == JSON:
        return None  # nearly always, of what is no stream
    if far and status in _FAR_NOT_BEGUN:
        return FarRefused(f"{engine} takes nothing at the moment ({status})", retry_after=retry_after(head))
    if far and status in (401, 403):  # our key there, not the client's here
        how: How = "declined" if status == 401 else "broken"
        return EngineBroken(f"{engine} does not let this gateway ask for that ({status})", how=how)
    if status == 503:
        return EngineFull(f"the queue of {engine} is full", retry_after=retry_after(head), reason="engine_queue")
    if status == 501:
        return NotServed(f"{engine} does not serve this API for this model")
    # The body of a 500 says which one it is. No request of ours is answered by another 2xx or by a redirect.
    if status > 500 or 200 < status < 400:
        return EngineBroken(f"{engine} answered {status}")
    if head.coding:
        return EngineBroken(f"{engine} answered in a coding that nobody asked for")
    fault = _fault(head, stream) if status == 200 else ""
    return EngineBroken(f"{engine} {fault}") if fault else None


def retry_after(head: Head) -> int:
    """Seconds; a date or nonsense is the shortest time."""
    value = head.retry_after
    return int(value) if value.isdigit() and len(value) < 6 else RETRY_AFTER_S


def _fault(head: Head, stream: bool) -> str:
    """What is wrong with a 200; empty if nothing."""
    if head.length == 0:
        return "answered nothing"
    if head.events != stream:
        return "did not answer with a stream" if stream else "answered with a stream that was not asked for"
    if not stream and head.content_type.lower().startswith(b"text/"):  # a page of something that stands between
        return "answered with a text that is no answer"
    return ""
