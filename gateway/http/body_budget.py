"""The memory budget of request bodies over all connections. No I/O, no clock.

A body of known length gets all of its room before it is read, or waits in line without having any; so whoever has room
needs no more of it, and nobody waits for somebody who waits. One that is sent in chunks takes as it comes, and is
refused rather than made to wait.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from gateway.core.errors import TooManyBodies
from gateway.http.messages import Request

# Smaller ones are not counted: they are bounded by the number of connections, and need not wait behind large ones.
SMALL_BODY = 64 * 1024


class BodyBudget:
    """``limit``: bytes. What a request holds stands in `Request.held`, and is given back once, however it ends."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._line: deque[tuple[Request, int, Callable[[], None]]] = deque()

    @property
    def waiting(self) -> int:
        return len(self._line)

    def enter(self, request: Request, size: int, ready: Callable[[], None]) -> bool:
        """Take room for a whole body now; False: ``ready`` is called when there is some."""
        if size <= SMALL_BODY:
            return True
        if not self._line and self.used + size <= self.limit:
            self._take(request, size)
            return True
        self._line.append((request, size, ready))
        return False

    def grow(self, request: Request, size: int) -> bool:
        """A body of unknown length has become so large; False: there is no room for it."""
        more = size - request.held
        if size <= SMALL_BODY or more <= 0:
            return True
        if self.used + more > self.limit:
            return False
        self._take(request, more)
        return True

    def full(self) -> TooManyBodies:
        """What a request is told for whose body there was no room."""
        limit = f"{self.limit} bytes (limits.max_body_bytes_in_flight)"
        return TooManyBodies(f"the bodies of other requests fill all {limit}; try again in 1 s", retry_after=1)

    def arrived(self, request: Request, size: int) -> None:
        """The body is there although nobody had made room: it was sent together with its head."""
        if self._leave(request):
            self._take(request, size)

    def release(self, request: Request) -> None:
        """The request has ended, or waits no longer."""
        if not request.held and not self._line:  # nearly always
            return
        self._leave(request)
        self.used -= request.held
        request.held = 0
        while self._line:
            first, size, ready = self._line[0]
            if self.used + size > self.limit and self.used:
                break
            self._line.popleft()
            self._take(first, size)
            ready()

    def _take(self, request: Request, size: int) -> None:
        request.held += size
        self.used += size

    def _leave(self, request: Request) -> bool:
        for slot in self._line:
            if slot[0] is request:
                self._line.remove(slot)
                return True
        return False
