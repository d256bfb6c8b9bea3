"""The tiny model with a LoRA adapter on the real engine, as `fullbatch up` starts both, behind the gateway."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.fullbatch import lora_files
from tests.fullbatch.checkout import REPOSITORY, Checkout
from tests.ports import free_port
from tests.waiting import wait_for

PROFILE = """\
description: The tiny model with an adapter
model: tiny
hardware: {{cpu: {{kv_cache_gib: 1}}}}
users: 8
context: 4096
adapters:
  sql: {folder}
"""
ASKED = {"messages": [{"role": "user", "content": "the cache, please"}], "max_tokens": 24, "temperature": 0}

pytestmark = [pytest.mark.engine, pytest.mark.timeout(1200)]


@dataclass(frozen=True)
class Up:
    checkout: Checkout
    gateway: str

    def run(self, *words: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.checkout.command(*words), cwd=self.checkout.root, capture_output=True, text=True, timeout=timeout,
            env=self.checkout.environment() | {"PATH": os.environ["PATH"]}, check=False,
        )  # fmt: skip

    def client(self, key: str = "") -> httpx.Client:
        own = (self.checkout.root / ".fullbatch/run/adapted/api_keys").read_text(encoding="utf-8").split()[0]
        return httpx.Client(base_url=self.gateway, headers={"authorization": f"Bearer {key or own}"}, timeout=120)


@pytest.fixture(scope="module")
def adapted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    folder = tmp_path_factory.mktemp("adapters")
    # So strong that it must change what random weights say.
    where = lora_files.write(folder / "sql, of a=b", 8, scale=2.0, base_model_name_or_path="tiny")
    root = folder / "checkout"
    root.mkdir()
    checkout = Checkout(root)
    (root / ".fullbatch").mkdir()
    for name in ("engine", "cache", "models"):
        (REPOSITORY / ".fullbatch" / name).resolve().mkdir(parents=True, exist_ok=True)
        (root / ".fullbatch" / name).symlink_to((REPOSITORY / ".fullbatch" / name).resolve())
    checkout.write("profiles/adapted.yaml", PROFILE.format(folder=json.dumps(str(where))))
    up = Up(checkout, f"http://127.0.0.1:{free_port()}")
    port = up.gateway.rpartition(":")[2]
    try:
        started = up.run("up", "adapted", "--runtime", "process", "--gateway-port", port, timeout=1000)
        assert started.returncode == 0, started.stdout + started.stderr
        yield up
    finally:
        up.run("down", "adapted", timeout=120)
        assert checkout.end_all() == []


def _say(client: httpx.Client, model: str) -> dict[str, Any]:
    answer = client.post("/v1/chat/completions", json=ASKED | {"model": model})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_base_and_adapter_answer_differently_each_by_its_name(adapted: Up) -> None:
    with adapted.client() as client:
        base, sql, again = (_say(client, name) for name in ("tiny", "sql", "sql"))
    assert (base["model"], sql["model"]) == ("tiny", "sql")
    assert sql["choices"][0]["message"]["content"] == again["choices"][0]["message"]["content"]
    assert base["choices"][0]["message"]["content"] != sql["choices"][0]["message"]["content"]


def test_the_other_apis_serve_it_too(adapted: Up) -> None:
    message = {"model": "sql", "messages": ASKED["messages"]}
    with adapted.client() as client:
        anthropic = client.post("/v1/messages", json=message | {"max_tokens": 8}).json()
        ollama = client.post("/api/chat", json=message | {"stream": False, "options": {"num_predict": 8}}).json()
        responses = client.post("/v1/responses", json={"model": "sql", "input": "x", "max_output_tokens": 8}).json()
    assert anthropic["model"] == "sql" and anthropic["usage"]["output_tokens"] == 8
    assert ollama["model"] == "sql" and ollama["eval_count"] == 8
    assert responses["model"] == "sql" and responses["usage"]["output_tokens"] == 8


def test_it_is_listed_with_its_base_and_without_a_path(adapted: Up) -> None:
    with adapted.client() as client:
        answers = [client.get(path) for path in ("/v1/models", "/v1/models/sql", "/api/tags")]
        answers.append(client.post("/api/show", json={"model": "sql"}))
    assert [card["id"] for card in answers[0].json()["data"]] == ["tiny", "sql"]
    assert answers[1].json()["parent"] == "tiny"
    assert not any("a=b" in answer.text or "adapters" in answer.text for answer in answers)


def test_a_key_may_be_for_it_alone_and_its_usage_goes_by_its_name(adapted: Up) -> None:
    made = json.loads(adapted.run("keys", "create", "alice", "--models", "sql", "--json").stdout)
    with adapted.client(made["key"]) as client:
        # The gateway looks into the store for new keys every second or so.
        wait_for(lambda: client.get("/v1/models").status_code == 200, 10, "the key is known")
        assert _say(client, "sql")["usage"]["completion_tokens"] == 24
        assert client.post("/v1/chat/completions", json=ASKED | {"model": "tiny"}).status_code == 403
        assert client.post("/v1/load_lora_adapter", json={"lora_name": "x", "lora_path": "/"}).status_code == 404
