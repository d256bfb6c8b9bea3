"""Prefix affinity: which replica has the beginning of a prompt in its prefix cache.

A prompt's text is cut into blocks, and each block's number is the checksum of everything up to its end: two prompts
share as many numbers as they share leading blocks. A bounded memory keeps, for each number, which engines have had
it. CRC-32 is used for its speed and because every replica of the gateway computes the same; two prompts that collide
(one in four billion) cost a worse choice of engine and nothing else.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from itertools import pairwise
from typing import Any
from zlib import crc32

from gateway.core.call import Call
from gateway.core.cost import cost
from gateway.engines import balancing
from gateway.engines.replica import Replica

# Blocks grow with their distance: a system prompt is told apart by 512 bytes, a document's end by 16 KiB.
_SIZES = ((512, 16), (2048, 28), (16384, 28))
RESULTS = ("kept", "escaped", "new")


def _ends() -> tuple[int, ...]:
    ends = [0]
    for size, count in _SIZES:
        ends += [ends[-1] + size * (index + 1) for index in range(count)]
    return tuple(ends)


ENDS = _ends()
_SPANS = tuple(pairwise(ENDS))


def blocks(
    content: dict[str, Any], model: str, session: bytes = b"", who: str = "", salt: object = None
) -> tuple[int, ...]:
    """The numbers of a request's leading blocks, longest last.

    Args:
        content: the request's JSON in any of the APIs: ``system`` or ``instructions``, then ``messages``, ``prompt`` or
            ``input``. What has another shape than theirs is left out; nothing is refused here.
        session: the client's name for a conversation (x-session-id); counts as the whole prompt, for the key ``who``.
        salt: of the engine's prefix cache, which knows a prompt under one salt only.
    """
    text = _text(content)
    found = []
    if len(text) >= ENDS[1]:
        number = crc32(model.encode())
        if isinstance(salt, str):
            number = crc32(salt.encode("utf-8", "surrogatepass"), number)
        for start, end in _SPANS:
            if end > len(text):
                break
            number = crc32(text[start:end], number)
            found.append(number)
    if session:
        found.append(-1 - crc32(session, crc32(who.encode())))
    return tuple(found)


def _text(content: dict[str, Any]) -> bytes:
    pieces: list[str] = []
    if "system" in content:
        _collect(content["system"], pieces)
    if "instructions" in content:
        _collect(content["instructions"], pieces)
    messages = content.get("messages")
    if isinstance(messages, list):
        for message in messages:
            if isinstance(message, dict):
                role = message.get("role")
                pieces.append(role if isinstance(role, str) else "")
                _collect(message.get("content"), pieces)
    else:
        _collect(content.get("prompt") or content.get("input"), pieces)
    return "\0".join(pieces).encode("utf-8", "surrogatepass")


def _collect(value: Any, pieces: list[str]) -> None:
    """A text, or the texts in a list of parts."""
    if isinstance(value, str):
        pieces.append(value)
    elif isinstance(value, list):
        for part in value:
            text = part.get("text") or part.get("content") if isinstance(part, dict) else part
            if isinstance(text, str):
                pieces.append(text)


class PrefixMemory:
    """Which engines have had which blocks. An engine is a bit; ``size`` blocks are kept, the last used ones."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._known: OrderedDict[int, int] = OrderedDict()
        self.results: Counter[str] = Counter(dict.fromkeys(RESULTS, 0))

    def __len__(self) -> int:
        return len(self._known)

    def __bool__(self) -> bool:
        return bool(self._known)

    def find(self, found: tuple[int, ...], among: int) -> tuple[int, int | None]:
        """Those of the engines ``among`` that know most of a prompt, and how many bytes; None is all of it."""
        known = self._known
        for index in range(len(found) - 1, -1, -1):
            engines = known.get(found[index], 0) & among
            if engines:
                return engines, None if found[index] < 0 else ENDS[index + 1]
        return 0, 0

    def remember(self, found: tuple[int, ...], engine: int) -> None:
        """This engine gets this prompt."""
        known = self._known
        for number in found:
            engines = known.get(number, 0)
            if not engines & engine:
                known[number] = engines | engine
            if engines:
                known.move_to_end(number)
        while len(known) > self._size:
            known.popitem(last=False)

    def forget(self, engine: int) -> None:
        """This engine has lost its cache, or is no more."""
        for number, engines in list(self._known.items()):
            if engines & engine:
                if engines == engine:
                    del self._known[number]
                else:
                    self._known[number] = engines & ~engine


def affine(memory: PrefixMemory, call: Call, free: list[Replica], least: Replica) -> Replica:
    """The one that has read this prompt's beginning, unless it has too much to do; else the least loaded."""
    among = 0
    for replica in free:
        among |= replica.bit
    knowing, length = memory.find(call.affinity, among)
    results = memory.results
    if not knowing:
        holders, _ = memory.find(call.affinity, -1)  # some of them have no slot
        results["escaped" if holders else "new"] += 1
        return least
    if knowing & least.bit:
        results["kept"] += 1
        return least
    best = min((replica for replica in free if replica.bit & knowing), key=lambda replica: replica.work)
    size = max(1, len(call.body))
    known = 1.0 if length is None else min(1.0, length / size)
    service = cost(call.prompt_tokens, call.expected_output)
    if balancing.keeps(best.work, least.work, known, best.limit, service):
        results["kept"] += 1
        return best
    results["escaped"] += 1
    return least
