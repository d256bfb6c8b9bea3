"""What `pair` starts: gateways with settings and keys, and the shipped HAProxy configuration with ports of here."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import yaml

from bench.gateway.ours import write_config
from bench.gateway.processes import START_S, free_port
from bench.gateway.programs import BenchError

EXAMPLE = Path(__file__).parents[2] / "examples/several-gateways/haproxy.cfg"


@dataclass(frozen=True, slots=True)
class PairPlace:
    """``engine``: its port; ``python``: the words that start it; ``share``: the Valkey's URL."""

    folder: Path
    python: list[str]
    engine: int
    share: str

    @property
    def store(self) -> Path:
        return self.folder / "store"


def made_keys(store: Path, terms: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Name -> key of a new store.

    Raises:
        BenchError: one was refused.
    """
    found = {}
    for name, words in terms.items():
        command = [sys.executable, "-m", "gateway.keys", "--store", str(store), "create", name, *words]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode:
            raise BenchError(made.stderr.strip())
        found[name] = made.stdout.split()[-1]
    return found


@dataclass(frozen=True, slots=True)
class GatewayPlace:
    name: str
    folder: Path
    port: int
    command: list[str]


def gateway(place: PairPlace, name: str, *, group: str = "", more: Mapping[str, object] | None = None) -> GatewayPlace:
    """One gateway's settings, written; those of one ``group`` share. ``more``: further settings."""
    folder, port = place.folder / name, free_port()
    folder.mkdir()
    config = write_config(folder, port, place.engine)
    settings = yaml.safe_load(config.read_text()) | dict(more or {})
    if group:
        settings |= {"deployment": group, "share": place.share}
    config.write_text(yaml.safe_dump(settings))
    return GatewayPlace(name, folder, port, [*place.python, "-m", "gateway", "--config", str(config)])


def haproxy(path: Path, ports: Mapping[str, int], backends: Mapping[str, list[int]]) -> Path:
    """The shipped configuration, with a frontend for each port and these gateways behind it; one thread."""
    head, _, rest = EXAMPLE.read_text(encoding="utf-8").partition("frontend clients")
    shape = rest.partition("\nbackend gateways\n")[2]
    shape = re.sub(r"^  server .*\n", "", shape, flags=re.MULTILINE)
    text = head.replace("global\n", "global\n  nbthread 1\n")
    for name, servers in backends.items():
        text += f"frontend {name}\n  bind 127.0.0.1:{ports[name]}\n  default_backend behind-{name}\n"
        lines = (f"  server s{number} 127.0.0.1:{port}\n" for number, port in enumerate(servers, 1))
        text += f"backend behind-{name}\n{shape}{''.join(lines)}"
    path.write_text(text, encoding="utf-8")
    return path


@contextmanager
def program(command: list[str], port: int, log: Path) -> Iterator[psutil.Process]:
    """A program of others, as soon as it listens.

    Raises:
        BenchError: it is not there, or ends, or does not listen in time.
    """
    with log.open("wb") as err:
        try:
            process = subprocess.Popen(command, stdout=err, stderr=err)
        except FileNotFoundError:
            raise BenchError(f"no {command[0]} (Debian: apt-get install haproxy)") from None
    began = time.monotonic()
    try:
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if process.poll() is not None or time.monotonic() - began > START_S:
                raise BenchError(f"{command[-1]} did not come up: {log.read_text()[-300:]}")
            time.sleep(0.02)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()
