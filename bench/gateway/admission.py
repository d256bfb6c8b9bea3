"""``python -m bench.gateway.admission``: whether the gateway costs throughput when the KV cache is scarce.

Users in closed loops, all asking at once, straight at the engine and through the gateway in turns. The engine is the
fake one with the model of a card: seats, KV tokens and the length of a step as measured on 2026-11-30 of Llama 3.1 8B
on an H200 that was capped to 24 GB; or, with ``--engine URL``, whatever answers there. Tokens/s and time to the first
token are medians over the rounds, ratios are within a round.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import math
import random
import re
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import uvloop
import yaml

from bench.gateway.closed_loop import Loop, Seen
from bench.gateway.processes import free_port, running

KEY = "bench-key-0123456789"
SEATS, KV_TOKENS, STEP_MS, STEP_TOKENS, CONTEXT = 56, 40_560, 4.8, 2048, 8192
USERS = (1, 5, 10, 50)
ROUNDS, SECONDS, SETTLE_S = 3, 8.0, 2.0
# Prompt and answer, in tokens; one of them at random for each request.
KINDS: dict[str, tuple[tuple[int, int], ...]] = {
    "128+128": ((128, 128),),
    "512+256": ((512, 256),),
    "3000+16": ((3000, 16),),
    "mixed": ((64, 128), (512, 256), (2000, 64), (128, 512), (3000, 16)),
    "512+512": ((512, 512),),
}
# What a plan wrote until 2026-11-30 for 50 people at 4,096 tokens: requests of half of it that fit, and an eighth.
BEFORE = 22


@dataclass(frozen=True)
class RoundResult:
    """One side of one round: ``preempted`` of all requests that ended, all of them in ``requests``."""

    kind: str
    users: int
    side: str
    tokens_per_s: float
    ttft_p50_ms: float
    requests: int
    failed: int
    preempted: float


@dataclass(frozen=True)
class PortsInTurn:
    """Where the users go: ports in turn."""

    name: str
    ports: tuple[int, ...]
    key: str = KEY


def main() -> int:
    options = parse()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        engines = engine_ports(options, stack)
        sides = [PortsInTurn("direct", tuple(engines))]
        bounds = {"gateway": None} | ({f"max_running {BEFORE}": BEFORE} if options.before else {})
        for name, bound in bounds.items():
            port = free_port()
            config = write_config(folder / f"{port}", port, engines, options, bound)
            # Beside a real engine, which has threads of its own on any core, it has none to itself either.
            core = None if options.engine else 0
            stack.enter_context(running(["gateway", "--config", str(config)], port, core))
            wait_for(port, len(engines))
            sides.append(PortsInTurn(name, (port,)))
        cells = [cell for number in range(options.rounds) for cell in one_round(options, sides, engines, number)]
    if options.json:
        options.json.write_text(json.dumps([asdict(cell) for cell in cells], indent=1) + "\n")
    report(cells, options)
    return 0


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    about = (__doc__ or "").split("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m bench.gateway.admission", description=about)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"over all cells ({ROUNDS})")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"of each cell that count ({SECONDS:g})")
    parser.add_argument("--users", type=lambda text: tuple(map(int, text.split(","))), default=USERS, metavar="N,...")
    parser.add_argument("--kinds", default=",".join(KINDS), metavar="NAME,...", help=f"of {', '.join(KINDS)}")
    parser.add_argument("--replicas", type=int, default=1, help="engines behind the gateway (1)")
    parser.add_argument("--step-ms", type=float, default=STEP_MS, help=f"of the engine model ({STEP_MS:g})")
    parser.add_argument("--kv-tokens", type=int, default=KV_TOKENS, help=f"of each engine ({KV_TOKENS})")
    parser.add_argument("--seats", type=int, default=SEATS, help=f"of each engine ({SEATS})")
    parser.add_argument("--engine", action="append", metavar="URL", help="a real one instead; give it once for each")
    parser.add_argument("--model", default="tiny", help="its name (tiny)")
    parser.add_argument(
        "--before", action="store_true", help=f"also a gateway bounded to {BEFORE} requests, as plans did"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every cell")
    options = parser.parse_args(arguments)
    options.kinds = options.kinds.split(",")
    if unknown := [name for name in options.kinds if name not in KINDS]:
        parser.error(f"no kind '{unknown[0]}'; there are {', '.join(KINDS)}")
    return options


def engine_ports(options: argparse.Namespace, stack: ExitStack) -> list[int]:
    """Ports of real engines, or of fake ones that are started."""
    if options.engine:
        return [int(url.rstrip("/").rpartition(":")[2]) for url in options.engine]
    ports = [free_port() for _ in range(options.replicas)]
    for port in ports:
        knobs = [f"--port={port}", f"--max-num-seqs={options.seats}", f"--kv-tokens={options.kv_tokens}",
                 f"--step-ms={options.step_ms}", f"--step-tokens={STEP_TOKENS}", f"--max-model-len={CONTEXT}",
                 f"--model={options.model}"]  # fmt: skip
        stack.enter_context(running(["tests.fakes.engine", *knobs], port, core=1))
    return ports


def write_config(folder: Path, port: int, engines: list[int], options: argparse.Namespace, bound: int | None) -> Path:
    """gateway.yaml as a plan writes it, but for ``bound``."""
    folder.mkdir()
    (folder / "api_keys").write_text(f"{KEY}\n")
    numbers = {"max_num_seqs": options.seats, "max_num_batched_tokens": STEP_TOKENS, "max_model_len": CONTEXT}
    numbers |= {"kv_cache_tokens": options.kv_tokens, "max_running": bound or options.seats + -(-options.seats // 8)}
    listed = [
        {"name": f"engine-{number}", "url": f"http://127.0.0.1:{engine}", "models": [options.model]} | numbers
        for number, engine in enumerate(engines)
    ]
    config = {"listen": {"port": port}, "api_keys_file": "api_keys", "deployment": "bench", "engines": listed}
    config |= {"admission": {"users": 50, "max_queued": 100}}
    path = folder / "gateway.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def wait_for(port: int, engines: int) -> None:
    """Until all engines are up."""
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health") as answer:
            if sum(one["addresses"]["up"] for one in json.load(answer)["engines"]) == engines:
                return
        time.sleep(0.2)
    raise SystemExit("bench.gateway.admission: the engines did not come up within 60 s")


def one_round(
    options: argparse.Namespace, sides: list[PortsInTurn], engines: list[int], number: int
) -> Iterator[RoundResult]:
    """Every cell once, the sides in another order each time."""
    for kind in options.kinds:
        for users in options.users:
            for side in sides if number % 2 == 0 else sides[::-1]:
                before = preemptions(engines)
                seen = uvloop.run(load(options, side, kind, users, number))
                preempted = (preemptions(engines) - before) / max(1, seen.answers)
                ttft_ms = statistics.median(seen.first or [math.nan]) * 1000
                rate = seen.tokens / seen.seconds
                cell = RoundResult(kind, users, side.name, rate, ttft_ms, seen.answers, seen.failed, preempted)
                sys.stderr.write(
                    f"round {number + 1}: {kind}, {users} users, {side.name}: {cell.tokens_per_s:.0f} tokens/s, "
                    f"TTFT p50 {cell.ttft_p50_ms:.1f} ms, {preempted:.2%} preempted\n"
                )
                yield cell


async def load(options: argparse.Namespace, side: PortsInTurn, kind: str, users: int, number: int) -> Seen:
    """All users at once, each with one request after the other, for the settling and the seconds that count."""
    now = time.monotonic()
    seen = Seen(now + SETTLE_S, now + SETTLE_S + options.seconds)
    loops = []
    for user in range(users):
        source = random.Random(f"{kind} {user} {number}")
        bodies = [_body(options.model, *source.choice(KINDS[kind]), source) for _ in range(16)]
        loops.append(Loop(bodies, side.key, seen))
    running_loop = asyncio.get_running_loop()
    for user, loop in enumerate(loops):
        port = side.ports[user % len(side.ports)]
        await running_loop.create_connection(lambda one=loop: one, "127.0.0.1", port)  # type: ignore[misc]
    for loop in loops:
        loop.ask()
    await asyncio.sleep(seen.until - time.monotonic())
    for loop in loops:
        loop.close()
    await asyncio.sleep(0.2)
    return seen


def _body(model: str, prompt: int, answer: int, source: random.Random) -> bytes:
    """A request with a prompt of just so many tokens, given as their ids, that no prefix cache knows."""
    content = {"model": model, "stream": True, "max_tokens": answer, "ignore_eos": True, "temperature": 0}
    return json.dumps(content | {"prompt": [source.randrange(100, 1000) for _ in range(prompt)]}).encode()


def preemptions(engines: list[int]) -> float:
    total = 0.0
    for port in engines:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            text = answer.read().decode()
        total += sum(map(float, re.findall(r"^vllm:num_preemptions_total{.*} (\S+)$", text, re.MULTILINE)))
    return total


def report(cells: list[RoundResult], options: argparse.Namespace) -> None:
    """Markdown: medians, and ratios within each round."""
    out = sys.stdout.write
    sides = list(dict.fromkeys(cell.side for cell in cells if cell.side != "direct"))
    engines = len(options.engine or []) or options.replicas
    out(f"{options.rounds} rounds of {options.seconds:g} s a cell; engines: {engines}\n\n")
    out("| prompt + answer | users | side | tokens/s | x direct | TTFT p50 ms | added ms | preempted | failed |\n")
    out("| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n")
    for kind, users in dict.fromkeys((cell.kind, cell.users) for cell in cells):
        direct = [cell for cell in cells if (cell.kind, cell.users, cell.side) == (kind, users, "direct")]
        for side in ("direct", *sides):
            own = [cell for cell in cells if (cell.kind, cell.users, cell.side) == (kind, users, side)]
            out(_row(kind, users, side, own, direct))


def _row(kind: str, users: int, side: str, own: list[RoundResult], direct: list[RoundResult]) -> str:
    pairs = list(zip(own, direct, strict=True))
    ratio = statistics.median(
        one.tokens_per_s / other.tokens_per_s if other.tokens_per_s else math.nan for one, other in pairs
    )
    added = statistics.median(one.ttft_p50_ms - other.ttft_p50_ms for one, other in pairs)
    rate, ttft = (
        statistics.median(values) for values in zip(*((c.tokens_per_s, c.ttft_p50_ms) for c in own), strict=True)
    )
    preempted = sum(cell.preempted * cell.requests for cell in own) / max(1, sum(cell.requests for cell in own))
    failed = sum(cell.failed for cell in own)
    beside = ("", "") if side == "direct" else (f"{ratio:.3f}", f"{added:+.1f}")
    figures = (f"{rate:.0f}", beside[0], f"{ttft:.1f}", beside[1], f"{preempted:.2%}", str(failed))
    return f"| {kind} | {users} | {side} | {' | '.join(figures)} |\n"


if __name__ == "__main__":
    sys.exit(main())
