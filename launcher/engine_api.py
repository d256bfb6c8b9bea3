"""What the launcher asks an engine: whether it answers, whether it has work, and to fall asleep or wake up."""

from __future__ import annotations

import http.client
import json
import re
import socket

from launcher.config import EngineAddress
from launcher.guard import HEADER

LOOK_S = 3.0
# Moving 75 GiB to main memory for the first time took 42 s (imokuri.com, 2025-07).
SLEEP_S = 180.0
_WORK = re.compile(rb"^vllm:num_requests_(?:running|waiting)(?:\{[^}]*\})? ([0-9.eE+]+)$", re.MULTILINE)


class Unanswered(Exception):
    """It could not be asked, or answered something else; the message says what."""


class EngineApi:
    """One engine. ``secret``: what its guard asks for."""

    def __init__(self, listen: EngineAddress, secret: str) -> None:
        self._listen = listen
        self._secret = secret

    def healthy(self) -> bool:
        try:
            return self._ask("GET", "/health", LOOK_S)[0] == 200
        except Unanswered:
            return False

    def work(self) -> int:
        """How many requests run and wait in it, by its own count.

        Raises:
            Unanswered
        """
        status, text = self._ask("GET", "/metrics", LOOK_S)
        counts = _WORK.findall(text)
        if status != 200 or not counts:
            raise Unanswered(f"/metrics answers {status} without its number of requests")
        return round(sum(map(float, counts)))

    def asleep(self, timeout_s: float = LOOK_S) -> bool:
        """Raises: Unanswered"""
        status, text = self._ask("GET", "/is_sleeping", timeout_s)
        try:
            found = json.loads(text)["is_sleeping"]
        except (ValueError, KeyError, TypeError):
            found = None
        if status != 200 or not isinstance(found, bool):
            raise Unanswered(f"/is_sleeping answers {status}")
        return found

    def sleep(self) -> None:
        """Level 1, and never by cutting answers.

        Raises:
            Unanswered: it is not asleep after that.
        """
        self._change("/sleep?level=1&mode=wait")
        if not self.asleep(SLEEP_S):
            raise Unanswered("it says that it is not asleep")

    def wake(self) -> None:
        """Raises: Unanswered: it is not awake after that."""
        self._change("/wake_up")
        if self.asleep(SLEEP_S):
            raise Unanswered("it says that it is still asleep")
        if not self.healthy():
            raise Unanswered("its /health does not answer 200 after it woke up")

    def _change(self, target: str) -> None:
        status, text = self._ask("POST", target, SLEEP_S)
        if status != 200:
            said = text[:200].decode("utf-8", "replace").strip()
            raise Unanswered(f"{target.partition('?')[0]} answers {status}: {said}")

    def _ask(self, method: str, target: str, timeout_s: float) -> tuple[int, bytes]:
        connection = _Connection(self._listen, timeout_s)
        try:
            connection.request(method, target, headers={HEADER.decode(): self._secret, "connection": "close"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise Unanswered(f"{target.partition('?')[0]}: {error or type(error).__name__}") from None
        finally:
            connection.close()


class _Connection(http.client.HTTPConnection):
    """To a port or a socket."""

    def __init__(self, listen: EngineAddress, timeout_s: float) -> None:
        super().__init__(listen.host or "localhost", listen.port or 80, timeout=timeout_s)
        self._uds = listen.uds

    def connect(self) -> None:
        if not self._uds:
            super().connect()
            return
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._uds)
