"""Two loads for two gateways behind a balancer: keys that want more than there is, and a key that has a limit."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import uvloop

from bench.gateway import fairness
from gateway.admission.attained_service import jain
from gateway.core.cost import cost

SEATS = 16
ENGINE = (f"--max-num-seqs={SEATS}", "--ttft-ms=20", "--itl-ms=10")
PER_MINUTE = 600
# Name -> answers of so many tokens, so many at once.
USERS = {"a": (20, 24), "b": (40, 16), "c": (80, 12), "d": (160, 12)}
SETTLE_S = 0.3
FLOOD = 8
PAUSE_S = 0.01


@dataclass(frozen=True, slots=True)
class Fair:
    """Ports of the balancer, and the keys by name."""

    shares: int
    limited: int
    keys: Mapping[str, str]


def shares(fair: Fair, seconds: float) -> float:
    """Jain's index over what four keys were served, each of which always wants more."""
    return jain(uvloop.run(_served(fair, seconds)).values())


async def _served(fair: Fair, seconds: float) -> dict[str, float]:
    served = dict.fromkeys(USERS, 0.0)
    began = time.monotonic()

    async def user(name: str, tokens: int) -> None:
        def note(_: float | None, events: int) -> None:
            if time.monotonic() - began > seconds * SETTLE_S:
                served[name] += cost(25, events)

        while time.monotonic() - began < seconds:
            await fairness.stream(fair.shares, fair.keys[name], tokens, note)

    tasks = [asyncio.ensure_future(user(name, tokens)) for name, (tokens, count) in USERS.items() for _ in range(count)]
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return served


def terms(rounds: int) -> dict[str, tuple[str, ...]]:
    """All keys that are needed, name -> terms; one with a limit for each round, as its bucket has to be full."""
    limited = ("--requests-per-minute", str(PER_MINUTE))
    return {name: () for name in USERS} | {_limited(number): limited for number in range(rounds)}


def _limited(number: int) -> str:
    return f"limited-{number}"


def limit(fair: Fair, number: int, seconds: float) -> float:
    """Requests let in of a key with a limit, as a share of what one gateway lets in; ``number``: of the round."""
    counts, took = uvloop.run(_flood(fair.limited, fair.keys[_limited(number)], seconds))
    if set(counts) - {b"200", b"429"}:
        raise OSError(f"answers of the limited key: {dict(counts)}")
    return counts[b"200"] / (PER_MINUTE + PER_MINUTE * took / 60)


async def _flood(port: int, key: str, seconds: float) -> tuple[Counter[bytes], float]:
    found: Counter[bytes] = Counter()
    began = time.monotonic()
    message = {"role": "user", "content": "hello"}
    body = json.dumps({"model": "tiny", "max_tokens": 1, "messages": [message]}).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode()

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.monotonic() - began < seconds:
            writer.write(head + body)
            said = await reader.readuntil(b"\r\n\r\n")
            length = next(line for line in said.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(length.partition(b":")[2]))
            found[said.split(b" ", 2)[1]] += 1
            await asyncio.sleep(PAUSE_S)
        writer.close()

    await asyncio.gather(*(one() for _ in range(FLOOD)))
    return found, time.monotonic() - began
