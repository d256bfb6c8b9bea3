"""``python -m tests.fakes.engine``: the first line printed is ``listening on http://HOST:PORT``."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import sys
from dataclasses import fields

import uvloop

from tests.fakes.engine.knobs import ANSWERS, FAULTS, Knobs
from tests.fakes.engine.server import Engine, bind, bind_path
from tests.fakes.engine.sleeping import SLEEP_FAULTS


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fakes.engine", description="A stand-in for vLLM 0.32.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000, help="0 picks a free one")
    parser.add_argument("--uds", metavar="PATH", help="a Unix socket instead, as vLLM has it")
    parser.add_argument("--middleware", action="append", help="vLLM has it; nothing is done with it here")
    defaults = Knobs()
    for field in fields(Knobs):
        value = getattr(defaults, field.name)
        choices = {"fault": tuple(FAULTS), "answer": tuple(ANSWERS), "sleep_fault": tuple(SLEEP_FAULTS)}.get(field.name)
        name = "--" + field.name.replace("_", "-")
        parser.add_argument(name, dest=field.name, type=type(value), default=value, choices=choices)
    options = vars(parser.parse_args())
    del options["middleware"]
    host, port, path = options.pop("host"), options.pop("port"), options.pop("uds")
    sock = bind_path(path) if path else bind(host, port)
    address = f"unix:{path}" if path else f"http://{host}:{sock.getsockname()[1]}"
    uvloop.run(_serve(sock, address, Knobs(**options)))


async def _serve(sock: socket.socket, address: str, knobs: Knobs) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    engine = Engine(knobs, sock, loop)
    if knobs.dies_after_s:
        loop.call_later(knobs.dies_after_s, _die)
    starting = loop.create_task(engine.start())
    if knobs.fault not in ("slow-start", "refuse"):
        await starting  # whoever reads the line connects at once
    print(f"listening on {address}", flush=True)
    await stop.wait()
    starting.cancel()
    if knobs.shutdown_timeout_s:
        await engine.drain()
    engine.stop_listening()


def _die() -> None:
    print("RuntimeError: Engine core initialization failed.", file=sys.stderr, flush=True)
    os._exit(3)


if __name__ == "__main__":
    main()
