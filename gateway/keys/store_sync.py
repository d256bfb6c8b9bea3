"""The thread that owns the key store: it writes usage and notices changed keys.

Both in one thread with one connection, because SQLite tells a connection of the others' writes only: what is written
here does not look like a change of the keys.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.core.supervisor import Supervisor
from gateway.keys import spill
from gateway.keys.auth import Auth, Known
from gateway.keys.ledger import Ledger, Tally, day_of, merge, write
from gateway.keys.store import KeyStore
from gateway.keys.stored import StoredKey

# What is used is handed over so often and written at once; changes of the keys are looked for as often.
HAND_OVER_S = 0.3
POLL_S = 0.2
# At the end what is left is tried for so long, and then kept in a file; a disk that does not answer is not waited for.
LAST_WRITE_S = 2.0
LAST_PAUSE_S = 0.1
STOP_S = LAST_WRITE_S + 3.0
_log = logging.getLogger("gateway")


@dataclass(frozen=True, slots=True)
class _Kind:
    """What the log says when something fails, and when it goes again."""

    failing: str
    again: str


_WRITING = _Kind("usage cannot be written ({}); it is kept and tried again", "usage is written again")
_READING = _Kind("keys cannot be read ({}); those known stay valid", "keys are read again")
_ADDING = _Kind("usage of an earlier run cannot be added ({}); it is tried again", "usage of an earlier run is added")


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


class StoreSync:
    """Keeps an open store for a running gateway. A store that cannot be written costs no request.

    ``failures``: writes that failed; what they held is kept and tried again.
    """

    def __init__(
        self, store: KeyStore, auth: Auth, ledger: Ledger, supervisor: Supervisor, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._store = store
        self._auth = auth
        self._ledger = ledger
        self._loop = loop
        self._handed_over = 0.0
        self._batches: queue.SimpleQueue[_Batch | None] = queue.SimpleQueue()
        # Not of `_run` alone: it is begun again after a defect.
        self._waiting = _Batch()
        self._spilled = True
        self._ended = False
        self._thread = supervisor.thread("store_sync", self._run)
        self._version = store.version()
        self.failures = 0
        self._failing: set[_Kind] = set()
        self._known = known(store.keys())
        auth.use_store(self._known)

    def start(self) -> None:
        spill.make_room(self._store.path)
        self._thread.start()

    def tick(self) -> None:
        """Ten times a second, on the loop: hand over what has gathered."""
        now = self._loop.time()
        if now - self._handed_over >= HAND_OVER_S:
            self._handed_over = now
            self._hand_over()

    def stop(self) -> None:
        """Write what is left, or keep it in a file beside the store, and close the store."""
        self._hand_over()
        self._batches.put(None)
        self._thread.join(STOP_S)
        if self._thread.is_alive():
            _log.error("%s: the disk does not answer; usage of the last moments may be lost", self._store.path)

    def _hand_over(self) -> None:
        tally = self._ledger.take()
        used, self._auth.used = self._auth.used, set()
        if tally or used:
            now = time.time()
            self._batches.put(_Batch({day_of(now): tally} if tally else {}, dict.fromkeys(used, now)))

    def _run(self) -> None:
        while not self._ended:
            try:
                batch = self._batches.get(timeout=POLL_S)
            except queue.Empty:
                batch = _Batch()
            if batch is None:
                self._ended = True
                break
            self._waiting.add(batch)
            self._spilled = self._spilled and not self._tried(self._add_spilled, _ADDING)
            if self._waiting and self._write(self._waiting):
                self._waiting = _Batch()
            self._tried(self._look, _READING)
        self._end(self._waiting)
        self._store.close()

    def _end(self, waiting: _Batch) -> None:
        end = time.monotonic() + LAST_WRITE_S
        while waiting and not self._write(waiting):
            if time.monotonic() > end:
                self._spill(waiting)
                return
            time.sleep(LAST_PAUSE_S)

    def _write(self, batch: _Batch) -> bool:
        if self._tried(lambda: write(self._store.connection, batch.days, batch.used), _WRITING):
            return True
        self.failures += 1
        return False

    def _spill(self, waiting: _Batch) -> None:
        """The store cannot be written and there is no more time."""
        store = self._store.path
        spill.give_room(store)
        if self._write(waiting):
            return
        path, content = spill.file_for(store), spill.content_of(waiting.days, waiting.used)
        try:
            spill.keep(path, content)
        except OSError as error:
            why = f"{path}: cannot be written ({(error.strerror or str(error)).lower()})"
            _log.error("%s; to keep what was used, put this line into that file: %s", why, content.decode().strip())
        else:
            _log.error("%s: cannot be written; what was used is in %s until the next start", store, path)

    def _add_spilled(self) -> None:
        """Add what stops of before have left."""
        added, foreign = spill.add_all(self._store.connection, self._store.path)
        for path in added:
            _log.warning("%s: usage of an earlier run; is in the store now", path)
        for path in foreign:
            _log.error("%s: is not what a gateway keeps when it stops; it is left as it is", path)

    def _look(self) -> None:
        """Read the keys if somebody else has written."""
        version = self._store.version()
        if version != self._version:
            keys = known(self._store.keys())
            self._version = version
            if keys != self._known:  # and not usage that was sent on
                self._known = keys
                self._loop.call_soon_threadsafe(self._auth.use_store, keys)

    def _tried(self, action: Callable[[], None], kind: _Kind) -> bool:
        """Whether it went well. The first failure in a row is told, and the end of them."""
        try:
            action()
        except Exception as error:  # noqa: BLE001 whatever it is, it must not end the accounting, and it is told
            if kind not in self._failing:
                self._failing.add(kind)
                _log.error("%s: %s", self._store.path, kind.failing.format(error))
            return False
        if kind in self._failing:
            self._failing.discard(kind)
            _log.warning("%s: %s", self._store.path, kind.again)
        return True


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
