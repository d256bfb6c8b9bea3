"""Other boxes for tests: a CA, certificates, and a TLS front such as Caddy is, which can delay what passes."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from tests.gateway.harness import KEY, Engine, Gateway, bearer, keys, run, wait_until
from tests.ports import free_port

DELAY_S = 0.02
NAMES = "DNS:localhost,IP:127.0.0.1"


def openssl(*words: str) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)


class Authority:
    """A CA of a test's own. ``ca``: its certificate as PEM."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.ca = folder / f"{name}.pem"
        self._key = folder / f"{name}.key"
        openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
            "-keyout", str(self._key), "-out", str(self.ca), "-subj", f"/CN={name}",
            "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign",
        )  # fmt: skip

    def context(self, names: str = NAMES) -> ssl.SSLContext:
        """A server's, with a certificate for these names."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*self.certificate(names))
        return context

    def certificate(self, names: str = NAMES) -> tuple[Path, Path]:
        """A server's certificate for these names, and its key."""
        key, asked, made = (self._folder / f"server.{kind}" for kind in ("key", "csr", "pem"))
        extension = self._folder / "names.cnf"
        extension.write_text(
            f"subjectAltName={names}\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n"
        )
        openssl(
            "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(key),
            "-out", str(asked), "-subj", "/CN=server",
        )  # fmt: skip
        openssl(
            "x509", "-req", "-in", str(asked), "-CA", str(self.ca), "-CAkey", str(self._key), "-CAcreateserial",
            "-days", "1", "-out", str(made), "-extfile", str(extension),
        )  # fmt: skip
        return made, key


class Front:
    """TLS in front of a plain port, in a thread of its own; without a ``context`` no TLS. ``delay_s``: so much later
    comes each piece, both ways."""

    def __init__(self, context: ssl.SSLContext | None, port: int, delay_s: float = 0.0, listen: int = 0) -> None:
        self._context, self._port, self._delay_s, self._listen = context, port, delay_s, listen
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0
        self.accepted = 0
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def __enter__(self) -> Front:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """The box is gone: connections are reset, and nobody listens."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)

    def _run(self) -> None:
        server = self._loop.run_until_complete(
            asyncio.start_server(self._serve, "127.0.0.1", self._listen, ssl=self._context)
        )
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for writer in tuple(self._writers):
            writer.transport.abort()
        # Reset connections end what reads from them.
        pending = asyncio.all_tasks(self._loop)
        if pending:
            self._loop.run_until_complete(asyncio.wait(pending, timeout=5))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self._writers.add(writer)
        try:
            behind, to = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            writer.transport.abort()
            return
        self._writers.add(to)
        await asyncio.gather(self._pump(reader, to), self._pump(behind, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pieces follow one another at their own distance, each later by the delay."""
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        sending = asyncio.ensure_future(self._send(queue, writer))
        with contextlib.suppress(OSError, ssl.SSLError):
            while data := await reader.read(65536):
                queue.put_nowait((self._loop.time() + self._delay_s, data))
        queue.put_nowait((0.0, b""))
        await sending

    async def _send(self, queue: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ssl.SSLError):
            while True:
                due, data = await queue.get()
                if not data:
                    break
                await asyncio.sleep(max(0.0, due - self._loop.time()))
                writer.write(data)
                await writer.drain()
        writer.close()
        self._writers.discard(writer)


class Boxes:
    """Box A with an engine of its own (``here``) or none that is up; box B behind TLS, with ``there``."""

    def __init__(
        self, folder: Path, start_gateway: Callable[..., Gateway], engine: Engine, authority: Authority
    ) -> None:
        self.folder, self.authority, self.start_gateway, self.there = folder, authority, start_gateway, engine
        self.port_b = free_port()
        self.b = self._start_b()
        self.key = keys(folder / "b-store", "create", "box-a", "--trusted", "yes")["key"]
        (folder / "b.key").write_text(self.key + "\n")
        self.front = Front(authority.context(), self.port_b, DELAY_S)
        self.front.__enter__()
        self.store = folder / "a-store"
        run("gateway.keys", "--store", str(self.store), "create", "alice")

    def _start_b(self) -> Gateway:
        gateway = self.start_gateway(
            [self.there.url],
            engine_numbers={"max_num_seqs": 8}, store=str(self.folder / "b-store"), deployment="b",
            listen={"host": "127.0.0.1", "port": self.port_b},
        )  # fmt: skip
        gateway.wait_up()
        return gateway

    def peers(self, *words: str) -> Any:
        return run("gateway.peers", "--store", str(self.store), *words)

    def add(self, name: str = "box-b") -> Any:
        return self.peers("add", name, self.front.url, "--key-file", str(self.folder / "b.key"), "--ca-file",
                          str(self.authority.ca), "--json")  # fmt: skip

    def gateway(self, here: str, **settings: Any) -> Gateway:
        return self.start_gateway([here], store=str(self.store), **settings)

    def joined(self, here: Engine, **settings: Any) -> Gateway:
        """Box A with box B as a peer, both up."""
        self.add()
        gateway = self.gateway(here.url, **settings)
        gateway.wait_up()
        wait_until(up(gateway), 20, lambda: str(state_of(gateway)))
        return gateway

    def b_again(self) -> None:
        self.b = self._start_b()


def state_of(gateway: Gateway, name: str = "box-b") -> dict[str, Any]:
    told = httpx.get(f"{gateway.url}/health", headers=bearer(KEY)).json()["engines"]
    return next((one for one in told if one["name"] == name), {"state": "absent", "reason": ""})


def up(gateway: Gateway, name: str = "box-b") -> Callable[[], bool]:
    return lambda: bool(state_of(gateway, name)["state"] == "up")
