"""Which kind of store: the PostgreSQL that the file beside names, or the SQLite file itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gateway.keys import server_file
from gateway.keys.server_file import PostgresRefused, PostgresServer
from gateway.keys.store import BUSY_S, KeyStore, Store

if TYPE_CHECKING:  # a driver that only few gateways need
    from gateway.keys.postgres import PostgresStore


def opened(path: Path, busy_s: float = BUSY_S) -> Store:
    """The store that people change and read: with a PostgreSQL that one, and not the copy in the file.

    Raises:
        StoreError: it cannot be opened, or is not ours.
    """
    server = server_file.read(server_file.beside(path))
    return KeyStore(path, busy_s) if server is None else remote(server)


def remote(server: PostgresServer, *, make: bool = False, ended_too: bool = False) -> PostgresStore:
    """The store there; ``make`` one where there is none; ``ended_too``: also one that was closed.

    Raises:
        StoreError: it does not answer, or is not ours.
    """
    try:
        from gateway.keys.postgres import PostgresStore
    except ImportError:
        raise PostgresRefused("PostgreSQL needs the package 'psycopg[binary]', which is not installed here") from None
    return PostgresStore(server, make=make, ended_too=ended_too)
