"""Starts the fake engine and the load test as programs, and ends them by their pid."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from loadtest.engines.sampler import scrape
from tests.waiting import wait_for, wait_until

ROOT = Path(__file__).parents[2]


@contextmanager
def fake_engine(**knobs: object) -> Iterator[tuple[str, int]]:
    """(base URL, pid) of a running fake engine."""
    command = [sys.executable, "-m", "tests.fakes.engine", "--port", "0"]
    for name, value in knobs.items():
        command += ["--" + name.replace("_", "-"), str(value)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        base_url = process.stdout.readline().removeprefix("listening on ").strip()
        _wait_for(base_url)
        yield base_url, process.pid
    finally:
        process.terminate()
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()


def _wait_for(base_url: str) -> None:
    """The fake prints its address when the port is bound, a moment before it listens."""

    def answers() -> bool:
        urllib.request.urlopen(f"{base_url}/v1/models", timeout=2).close()
        return True

    wait_for(answers, 10, f"{base_url} answers")


def turn(base_url: str, **knobs: object) -> None:
    body = json.dumps(knobs).encode()
    request = urllib.request.Request(f"{base_url}/fake/knobs", body, {"Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=5).close()


def wait_for_tokens(base_url: str, wanted: int) -> None:
    """Until the engine has made so many: then a run is in the middle of its first stage, however long it took."""
    wait_until(
        lambda: ((scrape(f"{base_url}/metrics") or {}).get("generation_tokens") or 0) >= wanted,
        30, f"{wanted} tokens of {base_url}",
    )  # fmt: skip


def loadtest(*arguments: object, timeout: float = 90) -> subprocess.CompletedProcess[str]:
    """`python -m loadtest` with these arguments, to its end."""
    command = [sys.executable, "-m", "loadtest", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False)


_UNDER_LOCUST = """
import locust
import importlib, json, sys
scenario = getattr(importlib.import_module(sys.argv[1]), sys.argv[2])
print(json.dumps(scenario(*json.loads(sys.argv[3]))))
"""


def under_locust(scenario: Callable[..., Any], *arguments: object, **environment: str) -> Any:
    """What a test module's function returns in a process that Locust patched first, as JSON carries it.

    pytest's own process stays unpatched: such a function imports Locust, and what needs it, in its body.
    """
    words = [scenario.__module__, scenario.__name__, json.dumps(arguments)]
    chosen = {name: value for name, value in os.environ.items() if not name.startswith(("FULLBATCH_", "LOCUST_"))}
    done = subprocess.run(
        [sys.executable, "-c", _UNDER_LOCUST, *words],
        cwd=ROOT, env=chosen | environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return json.loads(done.stdout)


def run_all(runs: list[list[str]]) -> list[tuple[int, str, str]]:
    """Under Locust: (exit code, stdout, stderr) of the load test with each of these arguments, one after the other."""
    from loadtest.cli.commands import main

    ended = []
    for words in runs:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = main(words)
            except SystemExit as refused:  # how argparse ends
                code = int(refused.code or 0)
        ended.append((code, out.getvalue(), err.getvalue()))
    return ended


def quick(url: str, folder: Path, **options: object) -> list[str]:
    """Arguments of a small run. The box that tests run on is busy, so the client may be late without being invalid."""
    chosen: dict[str, object] = {
        "base_url": url,
        "model": "tiny",
        "out": folder,
        "users": "1,3",
        "requests_per_user": 2,
        "max_tokens": 8,
        "prompt_tokens": 64,
        "warmup": 1,
        "max_lag_ms": 5000,
    } | options
    return ["run", *(part for name, value in chosen.items() for part in ("--" + name.replace("_", "-"), str(value)))]


def read_report(out: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((out / "report.json").read_text())
    return report
