"""``python -m gateway.bench.candidates``: our data path beside others, in one run, interleaved, as ratios to direct.

Needs the development environment (aiohttp, Starlette, httpx, the fake engine). Takes under three minutes.
The gateway under test has the first core, the fake engine and the load share the second.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import psutil
import uvloop
import yaml

from gateway.bench.load import Counts, closed_loop, paced_streams

STREAMS, TOKENS, ITL_MS, TTFT_MS = 64, 150, 20, 5
CONNECTIONS, CLOSED_LOOP_S = 32, 2.5
STREAM_S = STREAMS * 0.005 + (TTFT_MS + TOKENS * ITL_MS) / 1000
ROUNDS = 3
# Rounds in which other programs had more than this share of all cores are left out: then nobody keeps the pace.
MAX_FOREIGN = 0.6
CANDIDATES = {
    "ours": ["gateway", "--config", "{config}"],
    "aiohttp": ["gateway.bench.aiohttp_proxy", "{port}", "{engine}"],
    "starlette+aiohttp": ["gateway.bench.starlette_proxy", "{port}", "{engine}", "aiohttp"],
    "starlette+httpx": ["gateway.bench.starlette_proxy", "{port}", "{engine}", "httpx"],
}


@dataclass
class Target:
    """Something to load: its port, and the process whose CPU counts (none for direct)."""

    name: str
    port: int
    process: psutil.Process | None
    cells: dict[str, list[float]] = field(default_factory=dict)

    def note(self, cell: str, value: float) -> None:
        self.cells.setdefault(cell, []).append(value)

    def median(self, cell: str) -> float:
        """Over the rounds in which other programs left the machine alone, or over all if there were none."""
        foreign = self.cells["foreign"]
        quiet = [value for value, share in zip(self.cells[cell], foreign, strict=True) if share <= MAX_FOREIGN]
        return statistics.median(quiet or self.cells[cell])

    @property
    def quiet_rounds(self) -> int:
        return sum(share <= MAX_FOREIGN for share in self.cells["foreign"])

    def cpu_s(self) -> float:
        if self.process is None:
            return 0.0
        times = self.process.cpu_times()
        return times.user + times.system


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m gateway.bench.candidates", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds: int = parser.parse_args().rounds
    with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        engine = free_port()
        options = [f"--port={engine}", "--max-num-seqs=256", f"--ttft-ms={TTFT_MS}", f"--itl-ms={ITL_MS}"]
        stack.enter_context(started(["tests.fakes.engine", *options], engine, core=1))
        targets = [Target("direct", engine, None)]
        for name, command in CANDIDATES.items():
            port = free_port()
            config = write_config(Path(folder), port, engine)
            values = {"config": str(config), "port": str(port), "engine": f"http://127.0.0.1:{engine}"}
            process = stack.enter_context(started([part.format(**values) for part in command], port, core=0))
            targets.append(Target(name, port, process))
        pin(os.getpid(), core=1)
        time.sleep(2)
        for number in range(rounds):
            for target in targets[number % len(targets) :] + targets[: number % len(targets)]:
                with foreign_share(target):
                    measure(target, engine)
                line = ", ".join(f"{cell} {noted[-1]:.4g}" for cell, noted in target.cells.items())
                sys.stderr.write(f"round {number + 1}/{rounds}: {target.name}: {line}\n")
        report(targets, rounds)
    return 0


def measure(target: Target, engine: int) -> None:
    turn(engine, ttft_ms=TTFT_MS, itl_ms=ITL_MS)
    before = target.cpu_s()
    streamed: Counts = uvloop.run(paced_streams(target.port, STREAMS, TOKENS, STREAM_S))
    cpu = target.cpu_s() - before
    ordered = sorted(streamed.ttft_s) or [float("nan")]
    expected = STREAMS * (TOKENS + 1)  # the role event comes before the first token
    target.note("us per chunk", cpu / max(1, streamed.chunks) * 1e6)
    target.note("delivered", streamed.chunks / expected)
    target.note("failed", streamed.failures)
    target.note("ttft p50 ms", statistics.median(ordered) * 1000)
    target.note("ttft p99 ms", ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] * 1000)
    turn(engine, ttft_ms=0, itl_ms=0)
    before, began = target.cpu_s(), time.monotonic()
    answered: Counts = uvloop.run(closed_loop(target.port, CONNECTIONS, CLOSED_LOOP_S))
    took = time.monotonic() - began
    target.note("req/s", answered.answers / took)
    target.note("ms per request", (target.cpu_s() - before) / max(1, answered.answers) * 1000)


@contextmanager
def foreign_share(target: Target) -> Iterator[None]:
    """Note which share of all cores went to programs that are not part of this run."""

    def busy_s() -> float:
        times = psutil.cpu_times()
        return float(sum(times) - times.idle - times.iowait)

    def ours_s() -> float:
        own = psutil.Process()
        return sum(sum(process.cpu_times()[:2]) for process in (own, *own.children(recursive=True)))

    busy, ours, began = busy_s(), ours_s(), time.monotonic()
    yield
    foreign = (busy_s() - busy) - (ours_s() - ours)
    target.note("foreign", foreign / (time.monotonic() - began) / (os.cpu_count() or 1))


def report(targets: list[Target], rounds: int) -> None:
    """Markdown, ready for the decision page."""
    direct = targets[0]
    out = sys.stdout.write
    out(
        f"\n{STREAMS} streams x {1000 // ITL_MS} tokens/s, {TOKENS} tokens each; {CONNECTIONS} connections non-stream; "
    )
    out(f"medians of the quiet ones of {rounds} interleaved rounds; {os.cpu_count()} CPUs\n\n")
    out(
        "| candidate | CPU us/chunk | TTFT added p50 / p99 ms | delivered | failed "
        "| req/s | x direct | CPU ms/req | rounds |\n"
    )
    out("| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n")
    for target in targets:
        added = [target.median(f"ttft {p} ms") - direct.median(f"ttft {p} ms") for p in ("p50", "p99")]
        out(
            f"| {target.name} | {target.median('us per chunk'):.0f} | {added[0]:.1f} / {added[1]:.1f} "
            f"| {target.median('delivered'):.0%} | {target.median('failed'):.0f} "
            f"| {target.median('req/s'):.0f} | {target.median('req/s') / direct.median('req/s'):.2f} "
            f"| {target.median('ms per request'):.3f} | {target.quiet_rounds} |\n"
        )


@contextmanager
def started(command: list[str], port: int, core: int) -> Iterator[psutil.Process]:
    process = subprocess.Popen([sys.executable, "-m", *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        pin(process.pid, core)
        wait_for(port)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def pin(pid: int, core: int) -> None:
    """To the first or second of the machine's cores; where there is one only, nothing is done."""
    cores = range(os.cpu_count() or 1)
    if core in cores:
        psutil.Process(pid).cpu_affinity([core])


def wait_for(port: int, within_s: float = 20.0) -> None:
    ends = time.monotonic() + within_s
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.05)


def turn(engine: int, **knobs: float) -> None:
    urllib.request.urlopen(f"http://127.0.0.1:{engine}/fake/knobs", orjson.dumps(knobs), 5).close()
    time.sleep(0.2)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def write_config(folder: Path, port: int, engine: int) -> Path:
    (folder / "api_keys").write_text("bench-key-0123456789\n")
    one = {"name": "engine", "url": f"http://127.0.0.1:{engine}", "models": ["tiny"], "max_num_seqs": 256}
    one |= {"max_num_batched_tokens": 2048, "max_model_len": 4096, "kv_cache_tokens": 1048576}
    config = {"listen": {"port": port}, "api_keys_file": "api_keys", "deployment": "bench", "engines": [one]}
    path = folder / "gateway.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


if __name__ == "__main__":
    sys.exit(main())
