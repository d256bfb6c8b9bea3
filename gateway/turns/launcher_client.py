"""Asks a card's launcher: what state its engines are in, and to do something with one of them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import orjson

ASK_S = 10.0
_ANOTHERS = 423
# Actions and states as the launcher has them: docs/decisions/0038.
LOADED, ASLEEP, FAILED = "ready", "asleep", "failed"
ENDED = frozenset({"stopped", "failed"})


class NoLauncher(OSError):
    """It cannot be asked, or answers what is no launcher's answer."""


class AnothersCard(NoLauncher):
    """Another gateway decides on the card."""

    def __init__(self) -> None:
        super().__init__("another gateway decides on this card")


@dataclass(frozen=True, slots=True)
class EngineState:
    """One engine by its launcher's words. ``cause``: the last error of its log; ``log``: its last lines."""

    state: str = "stopped"
    why: str = ""
    log: tuple[str, ...] = ()
    pid: int | None = None
    cause: str = ""


class LauncherClient:
    """One card's. A connection for each question: one a second, over a socket of this machine.

    ``owner``: this gateway's name, since the launcher lets one gateway decide. ``another``: another one did when it was
    asked last.
    """

    def __init__(self, path: str, owner: str) -> None:
        self._path = path
        self._owner = owner
        self.another = False

    async def state(self) -> dict[str, EngineState]:
        """By name.

        Raises:
            NoLauncher
        """
        status, body = await self._ask("GET", "/state")
        try:
            found = {name: _engine(one) for name, one in body["models"].items()}
        except (KeyError, TypeError, AttributeError):
            raise NoLauncher(f"answers {status} to GET /state, without its models") from None
        self.another = body.get("another") is True
        return found

    async def do(self, name: str, action: str) -> str:
        """Begin an action; empty if it was, else why it was not.

        Raises:
            NoLauncher
            AnothersCard
        """
        status, body = await self._ask("POST", f"/models/{name}/{action}")
        if status == _ANOTHERS:
            self.another = True
            raise AnothersCard
        return "" if status == 202 else str(body.get("why") or f"it answers {status}")

    async def _ask(self, method: str, target: str) -> tuple[int, dict[str, Any]]:
        try:
            async with asyncio.timeout(ASK_S):
                status, body = await self._exchange(method, target)
            content = orjson.loads(body)
        except TimeoutError:
            raise NoLauncher(f"does not answer within {ASK_S:g} s") from None
        except OSError as error:
            raise NoLauncher(error.strerror or str(error)) from None
        except (ValueError, IndexError):
            raise NoLauncher("answers what is no JSON") from None
        if not isinstance(content, dict):
            raise NoLauncher("answers what is no object")
        return status, content

    async def _exchange(self, method: str, target: str) -> tuple[int, bytes]:
        reader, writer = await asyncio.open_unix_connection(self._path)
        try:
            head = f"{method} {target} HTTP/1.1\r\nhost: launcher\r\ncontent-length: 0\r\nconnection: close\r\n"
            head += f"x-fullbatch-owner: {self._owner}\r\n\r\n"
            writer.write(head.encode())
            answer = await reader.read(-1)
        finally:
            writer.close()
        first, _, body = answer.partition(b"\r\n\r\n")
        return int(first.split(b" ", 2)[1]), body


def _engine(one: dict[str, Any]) -> EngineState:
    log = one.get("log")
    lines = tuple(map(str, log)) if isinstance(log, list) else ()
    return EngineState(str(one["state"]), str(one.get("why") or ""), lines, one.get("pid"), str(one.get("cause") or ""))
