"""Which gateway decides on a card: two that switch as if alone would take the models away from each other."""

from __future__ import annotations

import threading
import time

OWNER = "x-fullbatch-owner"
# A gateway asks every second; one that has been silent for so long has ended, or has stopped deciding.
LEASE_S = 4.0


class Lease:
    """Held by whoever had something done first, for as long as it goes on asking. Called from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holder = ""
        self._seen = 0.0

    def see(self, owner: str) -> None:
        """This one has asked: if the lease is its own it keeps it."""
        with self._lock:
            if owner and owner == self._holder:
                self._seen = time.monotonic()

    def of_another(self, owner: str) -> bool:
        """Whether somebody else holds it. Who gives no name is told that nobody does."""
        with self._lock:
            return bool(owner) and self._held_from(owner)

    def take(self, owner: str) -> bool:
        """Whether it may have something done. Who gives no name (a person with curl) may, and takes nothing."""
        with self._lock:
            if owner and self._held_from(owner):
                return False
            if owner:
                self._holder, self._seen = owner, time.monotonic()
            return True

    def _held_from(self, owner: str) -> bool:
        return self._holder not in ("", owner) and time.monotonic() - self._seen < LEASE_S
