"""The file beside the store decides which kind it is."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path

import pytest

from gateway.keys import server_file
from gateway.keys.opening import opened, remote
from gateway.keys.postgres import PostgresGone, PostgresStore
from gateway.keys.server_file import PostgresRefused
from gateway.keys.store import KeyStore
from gateway.keys.stored import Terms
from tests.gateway.keys.postgreses import Postgres, server


def test_p243_a_file_beside_it_makes_the_store_the_servers(tmp_path: Path, postgres: Postgres) -> None:
    store = tmp_path / "store"
    with closing(opened(store)) as local:
        assert isinstance(local, KeyStore)
    there = server(postgres.database())
    with closing(remote(there, make=True)) as made:
        made.create("alice", Terms())
    server_file.write(server_file.beside(store), there)
    with closing(opened(store)) as found:
        assert isinstance(found, PostgresStore)
        assert [key.name for key in found.keys()] == ["alice"]
    with closing(KeyStore(store)) as local:
        assert local.keys() == []


def test_p243_one_that_is_away_is_no_sqlite_store_instead(tmp_path: Path) -> None:
    server_file.write(server_file.beside(tmp_path / "store"), server("postgresql://u:p@127.0.0.1:1/db"))
    with pytest.raises(PostgresGone):
        opened(tmp_path / "store")


def test_p243_without_the_driver_it_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gateway.keys.postgres", None)
    with pytest.raises(PostgresRefused, match=r"needs the package 'psycopg\[binary\]'"):
        remote(server("postgresql://u:p@127.0.0.1:1/db"))
