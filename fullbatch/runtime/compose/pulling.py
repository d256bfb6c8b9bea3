"""Pulls an image, and gives up when nothing of it has come for some time: Docker itself waits for ever."""

from __future__ import annotations

import threading
import time
from typing import Any

from fullbatch.core.errors import HostError

# Far longer than the unpacking of a large layer, of which not every Docker tells how far it is.
STILL_SECONDS = 600.0
_LOOK_SECONDS = 0.2


def pull(reference: str, still_seconds: float = STILL_SECONDS) -> None:
    """As long as it takes, while it gets on.

    Raises:
        HostError: Docker says why not, or has told nothing new for `still_seconds`.
    """
    going = _Pull(reference)
    # A daemon: Docker ends a pull when the one who asked for it has gone, which is at the end of this program.
    thread = threading.Thread(target=going.run, daemon=True)
    thread.start()
    while thread.is_alive():
        if time.monotonic() - going.moved_at > still_seconds:
            raise HostError(
                f"nothing new has come for {still_seconds:.0f} s ({going.last}); look at the network and the disk"
            )
        thread.join(_LOOK_SECONDS)
    if going.failure is not None:
        raise HostError(going.failure)


class _Pull:
    """`moved_at`: by the monotonic clock, when something new was told last; `last`: what that was."""

    def __init__(self, reference: str) -> None:
        self._reference = reference
        self.moved_at = time.monotonic()
        self.last = "Docker has not answered"
        self.failure: str | None = None
        self._told: dict[str, tuple[str, object]] = {}

    def run(self) -> None:
        import docker
        from docker.errors import APIError, DockerException

        try:
            client = docker.from_env()
            for event in client.api.pull(self._reference, stream=True, decode=True):
                self._see(event)
                if self.failure is not None:
                    return
        except APIError as error:
            self.failure = str(error.explanation or error)
        except (DockerException, OSError, ValueError) as error:
            self.failure = f"{error}; look at `docker info`"

    def _see(self, event: dict[str, Any]) -> None:
        if "error" in event:
            self.failure = str(event["error"])
            return
        # Some tell the same again and again while they stand still.
        layer, now = str(event.get("id", "")), (str(event.get("status", "")), event.get("progressDetail"))
        if self._told.get(layer) != now:
            self._told[layer] = now
            self.moved_at, self.last = time.monotonic(), f"{now[0]} {layer}".strip()
