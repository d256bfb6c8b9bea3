"""`python -m loadtest.engines.sampler`: a process of its own that samples engines and memory while the load test runs.

A scrape takes milliseconds of Python; in the client's own process it would be read as the server's latency.
One JSON line a sample goes to stdout. A line on stdin asks for a sample now; the end of stdin ends the program, so
it cannot outlive the load test, however that ends.
"""

from __future__ import annotations

import argparse
import http
import json
import os
import select
import signal
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil

from common import http_get, vllm_metrics

_SCRAPE_TIMEOUT_S = 2.0
_DENSE_S, _THINNING = 0.1, 1.3
# What a sample has of an engine. Its KV cache is full for a request when that of the request's rank is.
FIELDS = {
    name: name for name in ("running", "waiting", "generation_tokens", "preemptions", "prefix_queries", "prefix_hits")
} | {"kv_usage": "kv_usage_highest"}


def scrape(url: str) -> dict[str, float | None] | None:
    """One engine's numbers; None when it did not answer: missing is not zero."""
    try:
        status, page = http_get.get(f"{url}/metrics" if url.endswith(".sock") else url, _SCRAPE_TIMEOUT_S)
    except http_get.FAULTS:
        return None
    if status != http.HTTPStatus.OK:
        return None
    found = vllm_metrics.read(page)
    return {name: getattr(found, of) for name, of in FIELDS.items()}


def tree_rss(pid: int) -> int | None:
    """Resident bytes of a process and all below it; None when it is gone. Shared pages count once per process."""
    try:
        root = psutil.Process(pid)
        family = [root, *root.children(recursive=True)]
    except psutil.Error:
        return None
    total = 0
    for process in family:
        try:
            total += process.memory_info().rss
        except psutil.Error:
            continue
    return total


def sample(urls: Sequence[str], pids: Sequence[int], pool: ThreadPoolExecutor) -> dict[str, Any]:
    """`at` is perf_counter_ns halfway through: the same clock in every process of this machine."""
    before = time.perf_counter_ns()
    engines = list(pool.map(scrape, urls))
    at = (before + time.perf_counter_ns()) // 2
    return {"at": at, "engines": engines, "rss": [tree_rss(pid) for pid in pids]}


def run(urls: Sequence[str], pids: Sequence[int], interval: float) -> None:
    """Samples every `interval` seconds and on request, until stdin ends.

    After a request, which marks a stage's border, samples begin 0.1 s apart and thin out: a stage may be over in a
    second, and one that lasts longer is not worth more scrapes.
    """
    gap, due = interval, time.monotonic()
    with ThreadPoolExecutor(max(1, len(urls))) as pool:
        while True:
            asked, _, _ = select.select([0], [], [], max(0.0, due - time.monotonic()))
            if asked and not os.read(0, 4096):
                return
            line = {**sample(urls, pids, pool), "asked": bool(asked)}
            os.write(1, json.dumps(line, separators=(",", ":")).encode() + b"\n")
            gap = min(interval, _DENSE_S if asked else gap * _THINNING)
            due = time.monotonic() + gap


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m loadtest.engines.sampler", description="Sample engines and memory."
    )
    parser.add_argument("--url", action="append", default=[], help="a vLLM /metrics address; may be repeated")
    parser.add_argument("--pid", action="append", default=[], type=int, help="root of a process tree; may be repeated")
    parser.add_argument("--interval", type=float, default=1.0, help="seconds between two samples")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the load test, which then closes our stdin
    try:
        run(options.url, options.pid, options.interval)
    except BrokenPipeError:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
