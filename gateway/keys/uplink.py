"""The thread between a gateway's local store and the PostgreSQL of several gateways, where STORE.postgres names one.

It brings the keys here and the usage there. Nobody waits for it: the gateway knows the keys of its local store, and
writes usage to that, whatever becomes of the server.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.core.supervisor import Supervisor
from gateway.keys import outbox, server_file
from gateway.keys.opening import remote
from gateway.keys.server_file import PostgresServer
from gateway.keys.store import KeyStore
from gateway.keys.stored import StoreError

if TYPE_CHECKING:  # a driver that only few gateways need
    from gateway.keys.postgres import PostgresStore

# So often are keys looked for and usage sent; a key is known everywhere within twice that.
EVERY_S = 0.5
# After a failure.
PAUSE_S = 1.0
BUSY_S = 2.0
STOP_S = 4.0
_log = logging.getLogger("gateway")


class Uplink:
    """``start``, then ``stop`` once the local store has all usage.

    ``up``: whether the last try went well; also where no server is named. ``waiting``: requests whose usage is not
    there yet.
    """

    def __init__(self, path: Path, supervisor: Supervisor) -> None:
        self._path = path
        self._file = server_file.beside(path)
        self._stop = threading.Event()
        self._remote: PostgresStore | None = None
        self._server: PostgresServer | None = None
        self._changes = -1
        self._heard: list[str] = []
        self._told: set[str] = set()  # since it last went well
        self.up = True
        self.waiting = 0
        self._waiting_since: float | None = None
        self._thread = supervisor.thread("uplink", self._run)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Send what is left, if the server answers; else it is sent at the next start."""
        self._stop.set()
        self._thread.join(STOP_S)

    def waiting_s(self) -> float:
        """For how long the oldest of what waits has done so, seconds; at most since this start."""
        since = self._waiting_since
        return 0.0 if since is None else time.monotonic() - since

    def _run(self) -> None:
        local = KeyStore(self._path, BUSY_S)
        try:
            while True:
                ended = self._stop.is_set()
                went_well = self._once(local)
                self._note(went_well, local)
                if ended:
                    return
                self._stop.wait(EVERY_S if went_well else PAUSE_S)
        finally:
            self._hang_up()
            local.close()

    def _once(self, local: KeyStore) -> bool:
        try:
            there = self._connected()
            if there is None:
                return True
            changes = there.changes()
            if changes != self._changes:
                outbox.mirror(local.connection, there.keys())
                self._changes = changes
            outbox.forward(local.connection, there, self._heard)
        except (StoreError, sqlite3.Error) as error:
            self._hang_up()
            self._tell(str(error))
            return False
        if self._told:
            self._told.clear()
            _log.warning("%s: keys and usage go to and fro again", there.server.where)
        return True

    def _note(self, went_well: bool, local: KeyStore) -> None:
        """What is told of it."""
        self.up = went_well
        with contextlib.suppress(sqlite3.Error):  # told by `_once`
            self.waiting = 0 if went_well else outbox.waiting(local.connection)
        if not self.waiting:
            self._waiting_since = None
        elif self._waiting_since is None:
            self._waiting_since = time.monotonic()

    def _connected(self) -> PostgresStore | None:
        """The server that the file names now."""
        server = server_file.read(self._file)
        if server != self._server:
            self._hang_up()
            self._server = server
        if server is not None and self._remote is None:
            self._remote = remote(server)
        return self._remote

    def _hang_up(self) -> None:
        if self._remote is not None:
            self._remote.close()
        self._remote, self._changes = None, -1

    def _tell(self, why: str) -> None:
        if why not in self._told:
            self._told.add(why)
            _log.error("%s; the keys that are known stay valid, and usage is kept here until it is back", why)
