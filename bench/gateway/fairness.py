"""``python -m bench.gateway.fairness``: a light user beside a heavy one, and how evenly several keys share.

Three parts in one run, against the fake engine: a light user alone; the same while another key has 500 requests
under way; the same with both on one key, which is first come first
served. Then four keys with answers of
different lengths, all with more work than there is room for, and Jain's index over what each was served.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import uvloop
import yaml

from bench.gateway.processes import free_port, running
from gateway.admission.attained_service import jain
from gateway.core.cost import cost

KEYS = [f"bench-key-{number:02}-0123456789" for number in range(5)]
SEATS, TTFT_MS, ITL_MS = 32, 50, 20
LIGHT_TOKENS, HEAVY_TOKENS, HEAVY_REQUESTS, LIGHT_REQUESTS = 20, 200, 500, 40
SHARES_S, SETTLE_S = 40.0, 10.0
LENGTHS = {KEYS[0]: 20, KEYS[1]: 60, KEYS[2]: 180, KEYS[3]: 540}


@dataclass
class Ttft:
    """Seconds to the first token of each request, and how many were refused."""

    seconds: list[float] = field(default_factory=list)
    refused: int = 0

    def at(self, share: float) -> float:
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


async def stream(port: int, key: str, tokens: int, note: Callable[[float | None, int], None]) -> None:
    """One streaming chat; ``note`` gets the seconds to the first event and, at the end, the events in all."""
    message = {"role": "user", "content": "Is there a place for me? " * 4}
    content = {"model": "tiny", "stream": True, "max_tokens": tokens, "messages": [message]}
    body = json.dumps(content).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    began, first, events = time.monotonic(), None, 0
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(head.encode() + body)
        while data := await reader.read(65536):
            if first is None and b"data: {" in data:
                first = time.monotonic() - began
            events += data.count(b"data: {")
    finally:
        writer.close()
        note(first, events)


async def light(port: int, key: str, requests: int) -> Ttft:
    """One after another, as a person chats."""
    found = Ttft()

    def note(first: float | None, _: int) -> None:
        if first is None:
            found.refused += 1
        else:
            found.seconds.append(first)

    for _ in range(requests):
        await stream(port, key, LIGHT_TOKENS, note)
        await asyncio.sleep(0.05)
    return found


async def beside(port: int, heavy_key: str, light_key: str, requests: int) -> Ttft:
    """The light one while the heavy one has all of its requests under way."""
    tasks = [
        asyncio.ensure_future(stream(port, heavy_key, HEAVY_TOKENS, lambda *_: None)) for _ in range(HEAVY_REQUESTS)
    ]
    await asyncio.sleep(2)
    found = await light(port, light_key, requests)
    still = sum(not task.done() for task in tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    if still < SEATS and heavy_key != light_key:
        raise SystemExit(f"only {still} of the heavy user's requests were left at the end: nothing was measured")
    return found


async def shares(port: int, seconds: float) -> dict[str, float]:
    """Service that each of four keys was given, all of them asking for more than there is."""
    served = dict.fromkeys(LENGTHS, 0.0)
    began = time.monotonic()

    async def user(key: str) -> None:
        while time.monotonic() - began < seconds:
            await stream(port, key, LENGTHS[key], lambda _, events: note(key, events))

    def note(key: str, events: int) -> None:
        if time.monotonic() - began > SETTLE_S:
            served[key] += cost(25, events)

    tasks = [asyncio.ensure_future(user(key)) for key in LENGTHS for _ in range(SEATS)]
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return served


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.gateway.fairness", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--requests", type=int, default=LIGHT_REQUESTS, help="of the light user in each part")
    parser.add_argument("--seconds", type=float, default=SHARES_S, help="of the part with four keys")
    options = parser.parse_args()
    with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        engine, port = free_port(), free_port()
        knobs = [f"--port={engine}", f"--max-num-seqs={SEATS}", f"--ttft-ms={TTFT_MS}", f"--itl-ms={ITL_MS}"]
        stack.enter_context(running(["tests.fakes.engine", *knobs], engine, core=1))
        config = write_config(Path(folder), port, engine)
        stack.enter_context(running(["gateway", "--config", str(config)], port, core=0))
        time.sleep(2)
        parts = {"alone": uvloop.run(light(port, KEYS[0], options.requests))}
        parts["beside 500 of another key"] = uvloop.run(beside(port, KEYS[1], KEYS[0], options.requests))
        time.sleep(2)
        parts["beside 500 of its own key"] = uvloop.run(beside(port, KEYS[0], KEYS[0], 1))
        time.sleep(2)
        served = uvloop.run(shares(port, options.seconds))
    report(parts, served)
    return 0


def report(parts: dict[str, Ttft], served: dict[str, float]) -> None:
    """Markdown."""
    out = sys.stdout.write
    out(f"{SEATS} seats, {TTFT_MS} ms to the first token, {ITL_MS} ms between tokens\n\n")
    out("| light user | requests | refused | TTFT p50 ms | p95 ms | p95 x alone |\n")
    out("| --- | --- | --- | --- | --- | --- |\n")
    alone = parts["alone"].at(0.95)
    for name, found in parts.items():
        p50, p95 = statistics.median(found.seconds) * 1000, found.at(0.95)
        out(f"| {name} | {len(found.seconds)} | {found.refused} | {p50:.0f} | {p95 * 1000:.0f} | {p95 / alone:.2f} |\n")
    out(f"\nfour keys, answers of {', '.join(map(str, LENGTHS.values()))} tokens: shares of service ")
    total = sum(served.values())
    out(", ".join(f"{amount / total:.3f}" for amount in served.values()))
    out(f"; Jain's index {jain(served.values()):.4f}\n")


def write_config(folder: Path, port: int, engine: int) -> Path:
    (folder / "api_keys").write_text("\n".join(KEYS) + "\n")
    one = {"name": "engine", "url": f"http://127.0.0.1:{engine}", "models": ["tiny"], "max_num_seqs": SEATS}
    one |= {"max_num_batched_tokens": 2048, "max_model_len": 4096, "kv_cache_tokens": 1048576}
    config = {"listen": {"port": port}, "api_keys_file": "api_keys", "deployment": "bench", "engines": [one]}
    config["limits"] = {"max_in_flight": 2048}
    config["admission"] = {"max_queued": 1024}
    path = folder / "gateway.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


if __name__ == "__main__":
    sys.exit(main())
