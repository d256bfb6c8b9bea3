"""Keys and usage from a box's own store to a PostgreSQL, and back. A kill in the middle loses and doubles nothing:
the same command again goes on."""

from __future__ import annotations

import dataclasses
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from gateway.keys import outbox, server_file, spill
from gateway.keys.ledger import write
from gateway.keys.opening import remote
from gateway.keys.server_file import PostgresRefused, PostgresServer
from gateway.keys.store import KeyStore
from gateway.keys.stored import StoredKey, StoreError

BUSY_S = 5.0
# A gateway of this box looks at the file that often, and may be in the middle of a batch.
SEEN_S = 1.5


@dataclass(frozen=True, slots=True)
class Moved:
    """``keys``: how many the server has now; ``requests``: of which it has the usage."""

    where: str
    keys: int
    requests: int


def to_server(path: Path, server: PostgresServer, *, make: bool) -> Moved:
    """Put what the local store has there, and name it in the file beside. ``make``: it is to have no store yet.

    Raises:
        StoreError: it does not answer or is not ours, has a store where none was wanted, or a key of the same name.
    """
    file = server_file.beside(path)
    refuse_moved(path)
    with closing(KeyStore(path, BUSY_S)) as local, closing(remote(server, make=make)) as there:
        if make and there.keys():
            raise PostgresRefused(
                f"{server.where}: has a store with {len(there.keys())} keys already; to have it in common: "
                "fullbatch store join"
            )
        missing = _missing(local.keys(), there.keys())
        spill.add_all(local.connection, path)
        there.put(missing)
        outbox.forward(local.connection, there, [])
        server_file.write(file, dataclasses.replace(server, id=there.id))
        requests = sum(line.requests for line in there.report((), "0001-01-01", "9999-12-31"))
        return Moved(server.where, len(there.keys()), requests)


def refuse_moved(path: Path) -> None:
    """StoreError where keys and usage are at a server already."""
    file = server_file.beside(path)
    at = server_file.read(file)
    if at is not None:
        raise StoreError(f"{file}: keys and usage are at {at.where} already; `fullbatch store to-sqlite` ends it")


def to_sqlite(path: Path) -> Moved:
    """Bring everything here and close the store there; other gateways that have it keep what they use until told.

    Raises:
        StoreError: there is no server, it does not answer, or the local store cannot be written.
    """
    file = server_file.beside(path)
    leaving = server_file.leaving(file)
    server = server_file.read(file) or server_file.read(leaving)
    if server is None:
        raise StoreError(f"{file}: no such file; keys and usage are on this box already")
    with closing(KeyStore(path, BUSY_S)) as local, closing(remote(server, ended_too=True)) as there:
        if file.exists():
            file.replace(leaving)  # from here on no gateway of this box sends anything
            time.sleep(SEEN_S)
        if not there.ended:
            outbox.forward(local.connection, there, [])
            there.finish()
        # From here on nothing there changes, so a second try finds the same.
        keys, days = there.keys(), there.usage()
        outbox.mirror(local.connection, keys)
        used = {key.name: key.last_used for key in keys if key.last_used is not None}
        write(local.connection, days, used, f"moved-{there.id}")
        outbox.take_back(local.connection, there.batches())
        leaving.unlink()
        requests = sum(sums[0] for tally in days.values() for sums in tally.values())
        return Moved(server.where, len(keys), requests)


def _missing(here: list[StoredKey], there: list[StoredKey]) -> list[StoredKey]:
    """Those that the server has not; StoreError for one of the same name that is another."""
    known = {key.name: key.digest for key in there}
    if other := [key.name for key in here if known.get(key.name, key.digest) != key.digest]:
        raise StoreError(
            f"'{other[0]}': the server has another key of that name; revoke and delete one of the two first"
        )
    return [key for key in here if key.name not in known]
