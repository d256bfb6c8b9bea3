"""``python -m launcher FILE``: until SIGTERM, which ends all engines. ``--probe SOCKET``: whether one answers there."""

from __future__ import annotations

import argparse
import contextlib
import queue
import signal
import sys
import threading
from pathlib import Path

from launcher.card import CardLauncher
from launcher.config import ConfigError, LauncherSettings, load
from launcher.ledger import ProcessLedger, SocketTaken
from launcher.server import LauncherServer, probe


def main() -> int:
    """Exit codes: 0, or 2 for a file that is wrong, a socket that cannot be listened on, a launcher that is there."""
    parser = argparse.ArgumentParser(prog="python -m launcher", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("file", nargs="?", type=Path, help="launcher.json")
    parser.add_argument("--probe", metavar="SOCKET", help="only see whether a launcher answers there")
    options = parser.parse_args()
    if options.probe:
        return 0 if probe(options.probe) else 1
    if options.file is None:
        parser.error("launcher.json is missing: python -m launcher FILE")
    try:
        return _serve(load(options.file))
    except ConfigError as error:
        return _refused(*error.lines)


def _serve(settings: LauncherSettings) -> int:
    try:
        ledger = ProcessLedger(settings.folder)
    except SocketTaken:
        return _refused(f"launcher: another one works in {settings.folder}; end it first")
    except OSError as error:
        return _refused(f"launcher: {settings.folder} cannot be used ({error.strerror}); `folder` names another")
    card = CardLauncher(settings, ledger, _say)
    # Not an Event: its lock is held while it is waited for, and a signal that comes just then would wait for ever.
    asked: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: asked.put(number))
    card.adopt()
    try:
        server = LauncherServer(settings.socket, card)
    except OSError as error:
        return _refused(f"launcher: {settings.socket} cannot be listened on ({error.strerror or error})")
    threading.Thread(target=card.watch, name="watch", daemon=True).start()
    threading.Thread(target=server.serve_forever, name="server", daemon=True).start()
    names = ", ".join(model.name for model in settings.models)
    _say(f"launcher: {settings.card} on {settings.socket} (models: {names})")
    _wait(asked)
    _say("launcher: ending all engines")
    card.close()
    server.shutdown()
    server.server_close()
    settings.socket.unlink(missing_ok=True)
    ledger.close()
    _say("launcher: ended")
    return 0


def _wait(asked: queue.SimpleQueue[int]) -> None:
    """Until a signal has come. In short pieces: the handler of one that comes just before a wait runs after it."""
    while True:
        with contextlib.suppress(queue.Empty):
            asked.get(timeout=0.25)
            return


def _say(line: str) -> None:
    print(line, flush=True)


def _refused(*lines: str) -> int:
    for line in lines:
        print(line, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
