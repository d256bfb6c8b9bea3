"""A real PostgreSQL of the tests' own, without root, in a folder of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil
import psycopg
import pytest

from gateway.keys import server_file
from gateway.keys.server_file import PostgresServer
from tests.ports import free_port
from tests.waiting import wait_until

PASSWORD = "pg-tests-only-0123456789"
# The server refuses root; Debian's package makes this user.
USER = "postgres" if os.getuid() == 0 else None


def program(name: str) -> str:
    """Of the newest version there is; skips without one."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    found = shutil.which(name, path=os.pathsep.join([*map(str, reversed(folders)), os.environ.get("PATH", "")]))
    if found is None:
        pytest.skip("no PostgreSQL server (Debian: apt-get install postgresql)")
    return found


class Postgres:
    """``port``: on loopback, with a password; nothing is kept safe from a power cut."""

    def __init__(self, *extra: str) -> None:
        # Not pytest's: nobody but root comes there, and each run of it sees to that anew.
        self._folder, self._extra = Path(tempfile.mkdtemp(prefix="fullbatch-postgres-")), extra
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Postgres:
        secret = self._folder / "secret"
        secret.write_text(PASSWORD)
        for path in (self._folder, secret):
            shutil.chown(path, USER or os.getuid())
        words = ["-D", str(self._folder / "data"), "-U", "owner", "-A", "scram-sha-256", "--pwfile", str(secret), "-N"]
        self._run([program("initdb"), *words, "--no-locale", "-E", "UTF8"])
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()
        shutil.rmtree(self._folder)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        settings = ["fsync=off", f"unix_socket_directories={self._folder}", "listen_addresses=127.0.0.1"]
        # A process that comes by itself would look like one that a test has left behind.
        settings += ["shared_buffers=4MB", "max_connections=30", "autovacuum=off", *self._extra]
        words = [program("postgres"), "-D", str(self._folder / "data"), "-p", str(self.port)]
        words += [word for setting in settings for word in ("-c", setting)]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(words, stdout=log, stderr=log, user=USER, cwd="/")
        wait_until(self._answers, 20, "PostgreSQL up")

    def secured(self, certificate: Path, key: Path) -> None:
        """Start it again, with TLS."""
        files = [shutil.copy(one, self._folder / f"tls-{number}") for number, one in enumerate((certificate, key))]
        for file in map(Path, files):
            shutil.chown(file, USER or os.getuid())
            file.chmod(0o600)
        self.kill()
        self._extra = ("ssl=on", f"ssl_cert_file={files[0]}", f"ssl_key_file={files[1]}")
        self.start()

    def kill(self) -> None:
        """At once: its children see that it is gone."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait()
            self._process = None

    def pause(self) -> list[int]:
        """All its processes stand still; to be given to `resume`."""
        pids = []
        for pid in (self.pid, *(child.pid for child in psutil.Process(self.pid).children())):
            with contextlib.suppress(ProcessLookupError):  # a connection that just ended
                os.kill(pid, signal.SIGSTOP)
                pids.append(pid)
        return pids

    @staticmethod
    def resume(pids: Sequence[int]) -> None:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):  # what waited for it has given up, and it sees that at once
                os.kill(pid, signal.SIGCONT)

    def database(self) -> str:
        """A new one; its URL."""
        name = f"d{uuid.uuid4().hex[:12]}"
        self.sql(f"CREATE DATABASE {name}")
        return self.url(name)

    def url(self, database: str) -> str:
        return f"postgresql://owner:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def sql(self, statement: str, url: str = "") -> list[tuple[Any, ...]]:
        with psycopg.connect(url or self.url("postgres"), autocommit=True, connect_timeout=5) as connection:
            done = connection.execute(statement.encode())
            return done.fetchall() if done.description else []

    def _answers(self) -> bool:
        try:
            return bool(self.sql("SELECT 1"))
        except psycopg.OperationalError:
            return False

    @staticmethod
    def _run(words: list[str]) -> None:
        done = subprocess.run(words, capture_output=True, text=True, check=False, user=USER, cwd="/")
        assert done.returncode == 0, done.stderr


def server(url: str, store_id: str = "") -> PostgresServer:
    return server_file.checked(url, store_id)
