"""Two models that take turns as processes, with the fake engine in place of vLLM: launcher, gateway, command line."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import psutil

from fullbatch.runtime.process.runtime import ProcessRuntime
from fullbatch.runtime.tinymodel import write_model
from tests.fullbatch.checkout import Checkout
from tests.fullbatch.runtime.process.started import Words

TWO = """\
description: d
hardware: {cpu: {kv_cache_gib: 1}}
models:
  - {model: tiny, users: 4, when: on-demand}
  - {model: MINE, users: 4, context: 1024, when: on-demand}
gateway: {operators: [first], admins: [first]}
residency: {patience_s: 1.0, residency_factor: 0}
"""


def _ask(words: Words, key: str, path: str, body: dict[str, Any]) -> Any:
    headers = {"authorization": f"Bearer {key}", "x-api-key": key, "content-type": "application/json"}
    url = f"http://127.0.0.1:{words.gateway}{path}"
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers), timeout=60) as answer:
        return json.loads(answer.read())


def test_each_is_loaded_when_it_is_asked_for(checkout: Checkout, words: Words, tmp_path: Path) -> None:
    checkout.engine()
    mine = str(tmp_path / "mine")
    write_model(Path(mine))
    checkout.write("profiles/turns.yaml", TWO.replace("MINE", mine))
    up = checkout.run(*words.up("turns"))
    assert up.returncode == 0, up.stderr
    assert "tiny (in turns)" in up.stdout
    key = (checkout.root / ".fullbatch/run/turns/api_keys").read_text(encoding="utf-8").split()[0]
    messages = [{"role": "user", "content": "hi"}]
    for model in (mine, "tiny", mine):
        chat = _ask(words, key, "/v1/chat/completions", {"model": model, "messages": messages, "max_tokens": 2})
        assert chat["model"] == model
    told = _ask(words, key, "/v1/messages", {"model": "tiny", "messages": messages, "max_tokens": 2})
    assert told["model"] == "tiny"
    ollama = _ask(words, key, "/api/chat", {"model": mine, "messages": messages, "stream": False})
    assert ollama["model"] == mine

    found = json.loads(checkout.run("models", "--json").stdout)
    assert {one["name"]: one["state"] for one in found["models"]} == {"tiny": "stopped", "mine": "ready"}
    assert {one["cold_learned"] for one in found["models"]} == {True}
    assert checkout.run("models", "pin", "mine").stdout.startswith("mine stays")
    assert "ready, pinned" in checkout.run("models").stdout
    refused = checkout.run("models", "load", "nobody")
    assert refused.returncode == 2
    assert "there are: tiny, mine" in refused.stderr
    (status,) = json.loads(checkout.run("status", "--json").stdout)
    assert set(status["processes"]) == {"launcher-cpu", "gateway"}
    running = ProcessRuntime().running(checkout.root)[0]
    assert running.engine_memory_gib() > 0.01, "the engine that the launcher has started counts"
    assert running.engine_log(5), "and its log is the engine's"
    psutil.Process(status["processes"]["launcher-cpu"]).kill()
    assert any("tests.fakes.engine" in " ".join(one.cmdline()) for one in checkout.processes()), "it outlives it"
    down = checkout.run("down")
    assert down.returncode == 0
    assert checkout.processes() == [], "another launcher has ended the engines of the one that was killed"
