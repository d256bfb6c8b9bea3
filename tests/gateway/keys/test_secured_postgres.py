"""TLS to a real PostgreSQL with a certificate of the tests' own CA: checked, or refused in a line that says why."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.gateway.far_boxes import Authority
from tests.gateway.harness import Engine, Gateway, chat, keys, run, used, wait_until
from tests.gateway.keys.postgreses import PASSWORD, Postgres

URL = "/v1/chat/completions"


@pytest.fixture
def own() -> Iterator[Postgres]:
    """One that a test may start again."""
    with Postgres() as found:
        yield found


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "box" / "store"
    path.parent.mkdir()
    keys(path, "create", "alice")
    return path


def moved(store: Path, url: str, ca: Path, command: str = "to-postgres") -> CompletedProcess[str]:
    file = store.parent.parent / "url"
    file.write_text(url)
    return run("gateway.store", "--store", str(store), command, "--url-file", str(file), "--ca-file", str(ca))


def names(store: Path) -> set[str]:
    """What lies beside a store that a move has to do with."""
    return {path.name for path in store.parent.glob("store.postgres*")}


def test_p243_who_cannot_show_that_it_is_the_server_is_refused_in_one_line(
    tmp_path: Path, store: Path, authority: Authority, own: Postgres
) -> None:
    """Before anything is written, there or here."""
    url, other = own.database(), Authority(tmp_path / "other")
    named = url.replace("127.0.0.1", "localhost")
    no_ca = tmp_path / "no-ca.pem"
    no_ca.write_text("not a certificate")

    def refused(url: str, ca: Path) -> str:
        done = moved(store, url, ca)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert PASSWORD not in done.stdout + done.stderr
        assert names(store) == set()
        return done.stderr

    assert "does not support SSL, but SSL was required; turn TLS on there (ssl = on)" in refused(url, authority.ca)
    own.secured(*authority.certificate("DNS:localhost"))
    wrong_ca = "certificate verify failed; its certificate is not signed by a CA that is known here; give that CA"
    for mode in ("", "?sslmode=verify-ca"):
        assert wrong_ca in refused(named + mode, other.ca)
    wrong_name = 'does not match host name "127.0.0.1"; write a name that its certificate has'
    assert wrong_name in refused(url, authority.ca)
    assert "--ca-file: " in refused(named, no_ca) and "certificate" in refused(named, no_ca)
    assert own.sql("SELECT count(*) FROM pg_namespace WHERE nspname = 'fullbatch'", url) == [(0,)]


def test_p243_a_server_that_is_checked_serves_and_one_that_takes_its_place_does_not(
    tmp_path: Path,
    store: Path,
    authority: Authority,
    own: Postgres,
    start_gateway: Callable[..., Gateway],
    engine: Engine,
) -> None:
    other = Authority(tmp_path / "other")
    own.secured(*authority.certificate("DNS:localhost"))
    url = own.database().replace("127.0.0.1", "localhost")
    done = moved(store, url, authority.ca)
    assert done.returncode == 0, done.stderr
    encrypted = (
        "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'fullbatch'"
    )
    gateway = start_gateway([engine.url], store=str(store))
    gateway.wait_up()
    wait_until(lambda: own.sql(encrypted) == [(True,)], 20, "connected, and encrypted")

    def booked() -> int:
        return sum(int(line["requests"]) for line in used(store))

    def ask() -> None:
        with gateway.client() as client:
            assert client.post(URL, json=chat(max_tokens=1)).status_code == 200

    ask()
    wait_until(lambda: booked() == 1, 20, "sent over TLS")

    # A second try with another CA is refused, and leaves the certificate in use as it is.
    ca = store.with_name("store.postgres-ca.pem")
    assert "keys and usage are at localhost:" in moved(store, url, other.ca, "join").stderr
    assert ca.read_text() == authority.ca.read_text()

    # Somebody else's certificate at that address: nothing is sent, nobody waits for it, nothing is lost.
    own.secured(*other.certificate("DNS:localhost"))
    wait_until(lambda: "certificate verify failed" in gateway.stderr(), 20, "told")
    ask()
    assert own.sql(encrypted) == [(None,)]
    own.secured(*authority.certificate("DNS:localhost"))
    wait_until(lambda: booked() == 2, 30, "sent once it is the right one again")
    assert PASSWORD not in gateway.stderr()
