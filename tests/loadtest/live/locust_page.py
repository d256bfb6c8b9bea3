"""Locust's page, started as a program, and what it shows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests import waiting
from tests.loadtest.live.test_prometheus_exporter import Values, values
from tests.loadtest.programs import ROOT

QUICK = ("--steps", "1,5,10", "--stage-seconds", "4", "--max-tokens", "16", "--stop-timeout", "10")


@contextmanager
def locust(folder: Path, *arguments: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "locust", "-f", str(ROOT / "loadtest" / "locustfile.py"), *arguments]
    chosen = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    with (folder / f"locust-{time.monotonic_ns()}.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=chosen, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(20)


def get(url: str, body: bytes | None = None) -> str:
    with urllib.request.urlopen(url, body, timeout=10) as answer:
        return str(answer.read().decode())


def wait_for(ask: Callable[[], Any]) -> Any:
    """What Locust's page shows in the end."""
    return waiting.wait_for(ask, 40, "what Locust's page should show")


def statistics(page: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(get(f"{page}/stats/requests"))
    return found


def metrics(page: str) -> Values:
    return values(get(f"{page}/metrics"))
