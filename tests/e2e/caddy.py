"""Caddy between clients and a gateway, by a rendered Caddyfile, for the tests beside it."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
from pathlib import Path

from tests.gateway.harness import ROOT
from tests.ports import free_port
from tests.waiting import wait_for

PROGRAM = Path(sys.executable).parent / "caddy"
CADDYFILE = ROOT / "rendered" / "cpu-tiny" / "Caddyfile"


class Caddy:
    """One that runs. ``folder`` keeps its CA; ``variables`` as in `.env`."""

    def __init__(self, folder: Path, gateway_port: int, caddyfile: Path = CADDYFILE, **variables: str) -> None:
        self.port = free_port()
        self.url = f"https://localhost:{self.port}"
        self.chat_port = free_port()
        self.root = folder / "pki" / "authorities" / "local" / "root.crt"
        own = {"TLS_LISTEN": str(self.port), "TLS_DATA": str(folder), "FULLBATCH_GATEWAY": f"127.0.0.1:{gateway_port}"}
        own["CHAT_TLS_LISTEN"] = str(self.chat_port)
        words = [str(PROGRAM), "run", "--config", str(caddyfile), "--adapter", "caddyfile"]
        self.log = folder.with_suffix(".log")
        with self.log.open("a") as log:
            self._process = subprocess.Popen(words, env={**os.environ, **own, **variables}, stdout=log, stderr=log)
        wait_for(self._answers, 30, lambda: f"Caddy listens: {self.log.read_text()[-2000:]}")

    def context(self) -> ssl.SSLContext:
        """Trusts its CA and nobody else."""
        return ssl.create_default_context(cafile=str(self.root))

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()

    def _answers(self) -> bool:
        if self._process.poll() is not None:
            raise AssertionError(f"Caddy has ended: {self.log.read_text()[-2000:]}")
        context = ssl._create_unverified_context()
        with socket.create_connection(("127.0.0.1", self.port), 5) as plain:
            with context.wrap_socket(plain, server_hostname="localhost"):
                return True
