"""``python -m gateway.store --store FILE COMMAND``: keys and usage in a PostgreSQL, or on this box.

A running gateway follows within two seconds. Exit codes: 0 done, 2 refused.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from common import streams
from common.text_file import FileFault, read_text
from gateway.config.engine_settings import checked_ca
from gateway.keys import moving, outbox, server_file
from gateway.keys.opening import remote
from gateway.keys.server_file import PostgresServer
from gateway.keys.store import KeyStore
from gateway.keys.stored import StoreError

BAD_USE = 2
# What a command says: for a person, for a program.
Said = tuple[str, dict[str, Any]]


def main(argv: list[str] | None = None) -> int:
    streams.open_missing()
    options = _parser().parse_args(argv)
    try:
        text, data = _COMMANDS[options.command](options)
    except (StoreError, sqlite3.Error) as error:
        sys.stderr.write(f"store: {error}\n")
        return BAD_USE
    sys.stdout.write((json.dumps(data, indent=2) if options.json else text) + "\n")
    return 0


def _to_postgres(options: argparse.Namespace) -> Said:
    return _said(_to_server(options, make=True), "keys and usage are there now")


def _join(options: argparse.Namespace) -> Said:
    return _said(_to_server(options, make=False), "this box has them in common now")


def _to_server(options: argparse.Namespace, *, make: bool) -> moving.Moved:
    moving.refuse_moved(options.store)  # before a certificate takes the place of the one in use
    server = _given(options)
    try:
        return moving.to_server(options.store, server, make=make)
    except StoreError:
        server_file.without_ca(server_file.beside(options.store))
        raise


def _to_sqlite(options: argparse.Namespace) -> Said:
    return _said(moving.to_sqlite(options.store), "keys and usage are on this box again; the store there is closed")


def _said(moved: moving.Moved, done: str) -> Said:
    data = {"server": moved.where, "keys": moved.keys, "requests": moved.requests}
    return f"{moved.where}: {done}; {moved.keys} keys, usage of {moved.requests} requests", data


def _status(options: argparse.Namespace) -> Said:
    server = server_file.read(server_file.beside(options.store))
    if server is None:
        return "keys and usage are on this box alone", {"server": None}
    with closing(KeyStore(options.store, moving.BUSY_S)) as local:
        waiting = outbox.waiting(local.connection)
    try:
        with closing(remote(server)) as there:
            state, keys = "up", len(there.keys())
    except StoreError as error:
        state, keys = str(error).removeprefix(f"{server.where}: "), None
    data = {"server": server.where, "state": state, "keys": keys, "waiting_requests": waiting}
    return f"{server.where}: {state}; usage of {waiting} requests waits here to be sent", data


_COMMANDS: dict[str, Callable[[argparse.Namespace], Said]] = {
    "to-postgres": _to_postgres, "join": _join, "to-sqlite": _to_sqlite, "status": _status,
}  # fmt: skip


def _given(options: argparse.Namespace) -> PostgresServer:
    """The address, from a file or, for `fullbatch store`, from standard input: no command line shows a password."""
    if options.stdin:
        given = json.loads(sys.stdin.read())
    else:
        given = {"url": _read(options.url_file), "ca": _read(options.ca_file) if options.ca_file else None}
    url = given["url"].strip()
    try:
        if not given.get("ca"):
            return server_file.checked(url)
        # Looked at first, so that nothing lies there for an address that is none.
        server_file.checked(server_file.named_ca(url, server_file.beside(options.store)))
        return server_file.checked(server_file.with_ca(url, checked_ca(given["ca"]), server_file.beside(options.store)))
    except StoreError as error:
        raise StoreError(f"--url-file: {error}") from None
    except ValueError as fault:
        raise StoreError(f"--ca-file: {fault}") from None


def _read(path: Path) -> str:
    try:
        return read_text(path)
    except FileFault as fault:
        raise StoreError(f"{path}: {fault}") from None


def _parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="fullbatch store", description="Where keys and usage are.")
    top.add_argument("--store", type=Path, required=True, metavar="FILE", help=argparse.SUPPRESS)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--json", action="store_true", help="print JSON, for other programs")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    texts = {
        "to-postgres": "move them to a PostgreSQL that has no store yet, for several gateways",
        "join": "have them in common with the gateways of a PostgreSQL; what this box has goes there",
        "to-sqlite": "bring them back to this box, and close the store in PostgreSQL",
        "status": "where they are, whether it answers, and what waits to be sent",
    }
    for name, text in texts.items():
        command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", parents=[shared])
        if name in ("to-postgres", "join"):
            how = command.add_mutually_exclusive_group(required=True)
            how.add_argument("--url-file", type=Path, metavar="FILE", help=f"has one line: {server_file.EXAMPLE}")
            how.add_argument("--stdin", action="store_true", help=argparse.SUPPRESS)
            command.add_argument("--ca-file", type=Path, metavar="FILE", help="who signs its certificate (PEM)")
    return top


if __name__ == "__main__":
    sys.exit(main())
