"""The one engine of this folder, as `fullbatch up` starts it, and ways to ask it."""

from __future__ import annotations

import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from openai import OpenAI

from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[3]


def fullbatch(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fullbatch", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1500, check=False)


@dataclass(frozen=True)
class Up:
    gateway: str
    engine: str
    key: str

    def client(self) -> OpenAI:
        return OpenAI(base_url=f"{self.gateway}/v1", api_key=self.key, max_retries=0, timeout=60)

    def metrics(self) -> str:
        with urllib.request.urlopen(f"{self.engine}/metrics", timeout=10) as answer:
            return str(answer.read(), "utf-8")

    def running(self) -> float:
        found = re.search(r"^vllm:num_requests_running\{.*\} (\S+)$", self.metrics(), re.MULTILINE)
        assert found, "the engine reports no num_requests_running"
        return float(found.group(1))


@contextmanager
def started(profile: str = "cpu-tiny") -> Iterator[Up]:
    """Up while the block lasts; a test may have taken it down before."""
    gateway, engine = free_port(), free_port()
    words = ["--runtime", "process", "--gateway-port", str(gateway), "--engine-port", str(engine)]
    try:
        answer = fullbatch("up", profile, *words)
        assert answer.returncode == 0, answer.stdout + answer.stderr
        assert "the first token came back through the gateway" in answer.stdout
        key = (ROOT / ".fullbatch/run" / profile / "api_keys").read_text().split()[0]
        yield Up(f"http://127.0.0.1:{gateway}", f"http://127.0.0.1:{engine}", key)
    finally:
        fullbatch("down", profile)
