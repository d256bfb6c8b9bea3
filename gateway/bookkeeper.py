"""The thread that has the key store's file: it writes what was used, and sees when keys were changed.

Both in one thread with one connection, because SQLite tells a connection of the others' writes only: what is written
here does not look like a change of the keys.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
import time
from dataclasses import dataclass, field

from gateway.auth import Auth, Known
from gateway.keystore import KeyStore, StoredKey, StoreError
from gateway.ledger import Ledger, Tally, day_of, merge, write

# What is used is handed over so often and written at once; changes of the keys are looked for as often.
HAND_OVER_S = 0.3
POLL_S = 0.2
LAST_WRITE_S = 3.0
_log = logging.getLogger("gateway")


@dataclass(slots=True)
class _Batch:
    """What waits to be written: sums by day, and when keys were last used."""

    days: dict[str, Tally] = field(default_factory=dict)
    used: dict[str, float] = field(default_factory=dict)

    def add(self, other: _Batch) -> None:
        for day, tally in other.days.items():
            merge(self.days.setdefault(day, {}), tally)
        self.used |= other.used

    def __bool__(self) -> bool:
        return bool(self.days or self.used)


class Bookkeeper:
    """Keeps an open store for a running gateway. A store that cannot be written costs no request.

    ``failures``: transactions that failed; what they held is kept and tried again.
    """

    def __init__(self, store: KeyStore, auth: Auth, ledger: Ledger, loop: asyncio.AbstractEventLoop) -> None:
        self._store = store
        self._auth = auth
        self._ledger = ledger
        self._loop = loop
        self._handed_over = 0.0
        self._batches: queue.SimpleQueue[_Batch | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="bookkeeper", daemon=True)
        self._version = store.version()
        self.failures = 0
        self._failing = False
        auth.use_store(known(store.keys()))

    def start(self) -> None:
        self._thread.start()

    def tick(self) -> None:
        """Ten times a second, on the loop: hand over what has gathered."""
        now = self._loop.time()
        if now - self._handed_over >= HAND_OVER_S:
            self._handed_over = now
            self._hand_over()

    def stop(self) -> None:
        """Write what is left, and close the store."""
        self._hand_over()
        self._batches.put(None)
        self._thread.join(LAST_WRITE_S)

    def _hand_over(self) -> None:
        tally = self._ledger.take()
        used, self._auth.used = self._auth.used, set()
        if tally or used:
            now = time.time()
            self._batches.put(_Batch({day_of(now): tally} if tally else {}, dict.fromkeys(used, now)))

    def _run(self) -> None:
        waiting = _Batch()
        while True:
            try:
                batch = self._batches.get(timeout=POLL_S)
            except queue.Empty:
                batch = _Batch()
            if batch is not None:
                waiting.add(batch)
            if waiting and self._write(waiting):
                waiting = _Batch()
            if batch is None:
                self._store.close()
                return
            self._look()

    def _write(self, batch: _Batch) -> bool:
        try:
            write(self._store.connection, batch.days, batch.used)
        except sqlite3.Error as error:
            self.failures += 1
            self._tell(f"{self._store.path}: usage cannot be written ({error}); it is kept and tried again")
            return False
        if self._failing:
            self._failing = False
            _log.warning("%s: usage is written again", self._store.path)
        return True

    def _look(self) -> None:
        """Read the keys if somebody else has written."""
        try:
            version = self._store.version()
            if version == self._version:
                return
            keys = known(self._store.keys())
        except (sqlite3.Error, StoreError) as error:
            self._tell(f"{self._store.path}: keys cannot be read ({error}); those known stay valid")
            return
        self._version = version
        self._loop.call_soon_threadsafe(self._auth.use_store, keys)

    def _tell(self, line: str) -> None:
        if not self._failing:
            self._failing = True
            _log.error(line)


def known(keys: list[StoredKey]) -> list[Known]:
    """What is let in, and what is known and not let in any more."""
    found = []
    for key in keys:
        who, expires = key.principal(), key.terms.expires
        if key.revoked is not None:
            found.append(Known(key.digest, who, key.revoked, "was revoked"))
            continue
        found.append(Known(key.digest, who, expires))
        if key.previous_digest is not None and key.previous_until is not None:
            until = min(key.previous_until, expires or key.previous_until)
            found.append(Known(key.previous_digest, who, until, "was replaced by a newer one"))
    return found
