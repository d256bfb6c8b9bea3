"""Two copies of the real engine behind the gateway, as the process runtime starts them; one of them killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from openai import APIStatusError, OpenAI

from tests.fullbatch.checkout import REPOSITORY, Checkout
from tests.ports import free_port
from tests.waiting import wait_for

PROFILE = """\
description: Two copies of the tiny model on the CPU
model: tiny
hardware: {cpu: {kv_cache_gib: 1}, replicas: 2}
users: 8
context: 4096
"""

pytestmark = [pytest.mark.engine]


@dataclass(frozen=True)
class Up:
    checkout: Checkout
    gateway: str
    engines: tuple[str, str]

    def run(self, *words: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        return _run(self.checkout, *words, timeout=timeout)

    def client(self) -> OpenAI:
        key = (self.checkout.root / ".fullbatch/run/two/api_keys").read_text(encoding="utf-8").split()[0]
        return OpenAI(base_url=f"{self.gateway}/v1", api_key=key, max_retries=0, timeout=60)

    def status(self) -> dict[str, Any]:
        found: list[dict[str, Any]] = json.loads(self.run("status", "--json").stdout)
        return found[0]

    def finished(self, engine: str) -> float:
        with urllib.request.urlopen(f"{engine}/metrics", timeout=10) as answer:
            text = str(answer.read(), "utf-8")
        return sum(map(float, re.findall(r"^vllm:request_success_total\{.*\} (\S+)$", text, re.MULTILINE)))


def _run(checkout: Checkout, *words: str, timeout: float) -> subprocess.CompletedProcess[str]:
    """`fullbatch WORDS` in the checkout, with this machine's programs: vLLM asks some of them about the processor."""
    return subprocess.run(
        checkout.command(*words), cwd=checkout.root, env=checkout.environment() | {"PATH": os.environ["PATH"]},
        capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    root = tmp_path / "checkout"
    root.mkdir()
    checkout = Checkout(root)
    folder = root / ".fullbatch"
    folder.mkdir()
    for name in ("engine", "cache", "models"):
        (REPOSITORY / ".fullbatch" / name).resolve().mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to((REPOSITORY / ".fullbatch" / name).resolve())
    checkout.write("profiles/two.yaml", PROFILE)
    gateway, engine = free_port(), free_port(together=2)
    ports = ["--gateway-port", str(gateway), "--engine-port", str(engine)]
    answer = _run(checkout, "up", "two", "--runtime", "process", *ports, timeout=500)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "waiting for engine" in answer.stdout or "first token came back" in answer.stdout
    yield Up(checkout, f"http://127.0.0.1:{gateway}", (f"http://127.0.0.1:{engine}", f"http://127.0.0.1:{engine + 1}"))
    _run(checkout, "down", "two", timeout=100)
    assert checkout.end_all() == []


def _ask(api: OpenAI, number: int) -> int:
    answer = api.completions.create(
        model="tiny", prompt=f"request {number} fills the batch", max_tokens=8, extra_body={"ignore_eos": True}
    )
    assert answer.usage is not None
    return answer.usage.completion_tokens


def test_requests_go_to_both_and_one_alone_carries_on(up: Up) -> None:
    found = up.status()
    assert found["kv_tokens_planned"] == found["kv_tokens_reported"] == 2 * 524_288
    with up.client() as api:
        assert [_ask(api, number) for number in range(12)] == [8] * 12
        # The gateway looks at an engine that was not there yet about once a second; until then the other has them all.
        wait_for(lambda: _both_have_served(up, api), 30, lambda: str([up.finished(engine) for engine in up.engines]))
        _kill(found["processes"]["engine-2"])
        # One alone may have gone to the living one while the gateway did not know yet.
        wait_for(lambda: all(_works(api) for _ in range(6)), 30, "no request sent to an engine that is dead")
        assert [_ask(api, number) for number in range(6)] == [8] * 6
    (failure,) = up.status()["failures"]
    assert failure["cause"]


def _both_have_served(up: Up, api: OpenAI) -> bool:
    return _ask(api, 12) == 8 and min(up.finished(engine) for engine in up.engines) >= 1


def _works(api: OpenAI) -> bool:
    try:
        return _ask(api, 99) == 8
    except APIStatusError:
        return False


def _kill(leader: int) -> None:
    """The engine and its workers, as a machine out of memory would."""
    os.killpg(leader, signal.SIGKILL)
