"""The address of a PostgreSQL: what is let through, what is refused, and that no password is ever repeated."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.keys import server_file
from gateway.keys.server_file import PostgresRefused, beside, checked, read, with_ca, write

SECRET = "hunter2-hunter2"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (f"host=x password={SECRET}", "is no address of a PostgreSQL"),
        (f"mysql://u:{SECRET}@localhost/db", "is no address of a PostgreSQL"),
        (f"postgresql://u:{SECRET}@localhost:port/db", "is no address of a PostgreSQL"),
        (f"postgresql://u:{SECRET}@localhost", "is no address of a PostgreSQL"),
        (f"postgresql://u:{SECRET}%zz@localhost/db", "is no address of a PostgreSQL"),
        (f"postgresql://u:{SECRET}@localhost/db?sslmode=often", "is no address of a PostgreSQL"),
        (f"postgresql://u:{SECRET}@a,b/db", "is no address of a PostgreSQL"),
        (f"postgresql://u:{SECRET}@localhost/db?options=-csearch_path", "the option 'options' is not known"),
        (f"postgresql://u:{SECRET}@db.example/db", "db.example is another machine: add sslmode=verify-full"),
        (f"postgresql://u:{SECRET}@db.example/db?sslmode=require", "is another machine: add sslmode=verify-full"),
        (f"postgresql://u:{SECRET}@10.0.0.1/db?sslmode=disable", "is another machine"),
    ],
)
def test_p243_what_is_no_address_or_unsafe_is_refused_without_its_password(url: str, said: str) -> None:
    with pytest.raises(PostgresRefused) as error:
        checked(url)
    assert said in str(error.value)
    assert SECRET not in str(error.value)


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("postgresql://u:p@localhost/db", "localhost:5432/db"),
        ("postgres://u:p@127.0.0.2:6000/db", "127.0.0.2:6000/db"),
        ("postgresql://u:p@[::1]/db", "::1:5432/db"),
        ("postgresql://u@/db?host=/run/postgresql", "/run/postgresql:5432/db"),
        ("postgresql://u:p@db.example/db?sslmode=verify-full&sslrootcert=/ca", "db.example:5432/db"),
    ],
)
def test_p243_an_address_is_shown_without_user_and_password(url: str, where: str) -> None:
    found = checked(url)
    assert found.where == where
    assert "u:p" not in repr(found)


def test_p243_words_are_what_was_checked() -> None:
    words = dict(checked("postgresql://u%40x:p%2F%3A@localhost/a%20b?sslmode=disable").words)
    assert words == {
        "host": "localhost", "port": "5432", "dbname": "a b", "sslmode": "disable", "user": "u@x", "password": "p/:",
    }  # fmt: skip


def test_p243_the_file_is_its_owners_and_comes_back(tmp_path: Path) -> None:
    path = beside(tmp_path / "store")
    assert read(path) is None
    given = checked(f"postgresql://u:{SECRET}@localhost/db", "abc")
    write(path, given)
    assert read(path) == given
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text(f"url: [{SECRET}")
    with pytest.raises(PostgresRefused) as error:
        read(path)
    assert SECRET not in str(error.value)


def test_p243_a_certificate_is_put_where_libpq_finds_it(tmp_path: Path) -> None:
    url = with_ca("postgresql://u:p@db.example/db", "PEM", beside(tmp_path / "store"))
    words = dict(server_file.checked(url).words)
    assert words["sslmode"] == "verify-full"
    assert Path(words["sslrootcert"]).read_text() == "PEM"


@pytest.mark.parametrize("name", ["store.postgres", "store.postgres.leaving"])
def test_p243_a_certificate_that_an_address_needs_is_not_taken_away(tmp_path: Path, name: str) -> None:
    path, ca = beside(tmp_path / "store"), tmp_path / "store.postgres-ca.pem"
    with_ca("postgresql://u:p@db.example/db", "PEM", path)
    (tmp_path / name).write_text("url: x")
    server_file.without_ca(path)
    assert ca.exists()
    (tmp_path / name).unlink()
    server_file.without_ca(path)
    assert not ca.exists()
