"""Watches gateway.yaml and the key file, and applies changes, or on SIGHUP, while the gateway runs."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from gateway.config import peers_file
from gateway.config.loader import SettingsError, load, read_api_keys
from gateway.config.settings import Settings
from gateway.core.supervisor import Supervisor

POLL_S = 0.25
LAST_READ_S = 2.0
# The sections that `use_settings` takes over; a change of anything else needs a restart, and the log says so.
LIVE = frozenset(
    {"engines", "limits", "admission", "polling", "log", "cors", "aliases", "prefix_sharing", "operators"}
    | {"admins", "public_urls", "residency"}
)
_log = logging.getLogger("gateway")

# What a file is like from outside; None: it is not there.
_Look = tuple[int, int, int] | None


class Reloadable(Protocol):
    """The running gateway. Called on its event loop."""

    def use_settings(self, settings: Settings) -> None:
        """Work with these from now on."""

    def use_keys(self, keys: tuple[bytes, ...]) -> None:
        """These are the keys of the key file from now on."""

    def reloaded(self, result: str) -> None:
        """Count: applied or rejected."""


class Reloader:
    """A thread, since reading files may take as long as it likes."""

    def __init__(
        self,
        config: Path,
        settings: Settings,
        target: Reloadable,
        supervisor: Supervisor,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._config = config
        self._settings = settings
        self._target = target
        self._loop = loop
        self._asked = False
        self._ended = False
        self._wake = threading.Event()
        self._supervisor = supervisor
        self._thread = supervisor.thread("reloader", self._run)
        self._watched = (
            _Watched(config, self._read_settings),
            _Watched(settings.api_keys_file, self._read_keys),
            *([_Watched(peers_file.beside(settings.store), self._read_settings)] if settings.store else []),
        )

    def start(self) -> None:
        self._thread.start()

    def ask(self) -> None:
        """Read everything now, changed or not."""
        self._asked = True
        self._wake.set()

    def stop(self) -> None:
        self._ended = True
        self._wake.set()
        self._thread.join(LAST_READ_S)  # a file system that hangs must not hang the end

    def _run(self) -> None:
        while not self._ended:
            self._wake.wait(POLL_S)
            self._wake.clear()
            asked, self._asked = self._asked, False
            for watched in self._watched:
                if watched.changed() or asked:
                    self._reload(watched)

    def _reload(self, watched: _Watched) -> None:
        result = "rejected"
        with self._supervisor.guard("reloader"):  # a defect in reading one file must not end the watching
            try:
                watched.read()
            except SettingsError as error:
                for line in error.lines:
                    _log.error("%s; the old settings stay", line)
            else:
                result = "applied"
        self._call(self._target.reloaded, result)

    def _read_settings(self) -> None:
        old, new = self._settings, load(self._config)
        changed = {name for name in Settings.model_fields if getattr(old, name) != getattr(new, name)}
        for name in sorted(changed - LIVE):
            _log.warning("%s: %s: a change needs a restart; what it was stays", self._config, name)
        live = changed & LIVE
        # What needs a restart stays different, so every further change of the file says so again.
        self._settings = old.model_copy(update={name: getattr(new, name) for name in live})
        self._call(self._target.use_settings, self._settings)
        _log.warning("%s: read again; %s", self._config, f"changed: {', '.join(sorted(live))}" if live else "no change")

    def _read_keys(self) -> None:
        path = self._settings.api_keys_file
        keys = read_api_keys(path)
        self._call(self._target.use_keys, keys)
        _log.warning("%s: read again; %d keys", path, len(keys))

    def _call(self, action: Callable[..., None], argument: object) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(action, argument)


class _Watched:
    """One file. It counts as changed once it has been the same for two looks: an editor may be in the middle of it."""

    def __init__(self, path: Path, read: Callable[[], None]) -> None:
        self.path = path
        self.read = read
        self._known = self._last = _look(path)

    def changed(self) -> bool:
        before, self._last = self._last, _look(self.path)
        if self._last == self._known or self._last != before:
            return False
        self._known = self._last
        return True


def _look(path: Path) -> _Look:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
