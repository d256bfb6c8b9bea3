"""`Call`: a request to an engine, in whatever API it came; `Principal`: who asks. Plain data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

# Bytes of English text in a token, roughly; what is charged before the engine has counted is corrected after.
BYTES_PER_TOKEN = 4


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is asking, and what it may.

    ``name``: for metrics, logs and usage; never the key itself. ``priority``: a name in `priority.PRIORITIES`, the most
    urgent that this key may ask for. ``weight``: its share against others'. Limits: None is without limit.
    ``models``: None is all. ``max_output_tokens``: of all answers to one request; ``max_body_bytes``: of one request;
    ``structured``: whether answers may have a form that an engine compiles. ``operator``: may see what all keys use,
    and where engines are. ``trusted``: says in a header for whom it asks (`keys.users`).
    """

    name: str
    weight: float = 1.0
    priority: str = "normal"
    models: frozenset[str] | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent: int | None = None
    expires: float | None = None
    max_output_tokens: int | None = None
    max_body_bytes: int | None = None
    structured: bool = True
    trusted: bool = False
    operator: bool = False


NOBODY = Principal("")


class Translation(Protocol):
    """The engine's answer in another API's words. One object for one request."""

    stream_type: bytes  # the content type of a translated stream

    def begin(self) -> None:
        """The request is being sent."""

    def stream(self, events: bytes) -> bytes:
        """Whole events of the engine -> what the client gets for them; may be empty."""

    def whole(self, body: bytes) -> bytes:
        """A whole answer of the engine that is no error -> the client's."""


@dataclass(slots=True)
class Call:
    """One request for tokens, embeddings or the like, ready to be sent.

    ``path``, ``body``: of the request to the engine. ``stream``: the answer is server-sent events.
    ``hides_usage``: the usage event was asked for by the gateway, so the client does not get it.
    ``prompt_tokens``: estimated from the body's size, before anybody has tokenised. ``output_tokens``: at most so
    many as asked for, None where the request does not say, 0 where none comes out. ``expected_output``: how many are
    reckoned with, and ``sized_tokens``: the prompt by its size alone (`estimates` sets both). ``affinity``: what the
    prompt begins with, as hashes of blocks, longest last; empty where prompts have no place. ``opening``: computes it,
    for models that several engines serve. ``session``: the client's own name for a conversation.
    ``usage_ends``: the engine's count is in an event that ends like this; empty where nothing else could be taken for
    it. ``structured``: the engine compiles a form for the answer first. ``local``: it comes from another box's gateway,
    so it goes to engines of this box alone, and does not wait here. ``ready``: the whole answer, where it needs no
    engine. ``loads``: all that is wanted is that the model is loaded; ``let_go``: the client needs it no more after.
    """

    model: str
    stream: bool
    path: bytes
    body: bytes | bytearray
    hides_usage: bool = False
    prompt_tokens: int = 0
    output_tokens: int | None = None
    expected_output: float = 0.0
    sized_tokens: int = 0
    affinity: tuple[int, ...] = ()
    opening: Callable[[], tuple[int, ...]] | None = None
    session: bytes = b""
    level: int = 1
    translation: Translation | None = None
    usage_ends: tuple[bytes, ...] = ()
    structured: bool = False
    local: bool = False
    ready: bytes | None = None
    loads: bool = False
    let_go: bool = False


# Of a request that has not been read.
NO_CALL = Call("", False, b"", b"")


@dataclass(slots=True)
class Usage:
    """Tokens of one request. ``exact``: the engine's own count, else counted from what passed."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    exact: bool = False
