"""One gateway for all tests of the pages: with a store, an operator, a key of a person, and a model with a bad name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.gateway.harness import START_S, Engine, Gateway, bearer, chat, keys, wait_until

# What a name may be, and what it must not do to a page.
EVIL = "<img src=x onerror=alert(1)>\"'&amp;{{text}}"
PLANNED_KV_TOKENS = 1_000_000
# The engine of EVIL has so much instead.
REPORTED_KV_TOKENS = 900_000
_PART = {"weights_gib": 8.0, "overhead_gib": 1.0}
MEMORY = [
    {
        "title": "card 0",
        "total_gib": 24.0,
        "parts": [
            {"engine": "enginetiny", **_PART, "kv_gib": 3.0},
            {"engine": f"engine{EVIL[:4]}", **_PART, "kv_gib": 1.0},
        ],
    },
    # Its engine is not there.
    {
        "title": "card 1",
        "total_gib": 24.0,
        "kept_gib": 2.0,
        "parts": [{"engine": "gone", **_PART, "kv_gib": 7.0, "turns": True}],
    },
]


@dataclass(frozen=True)
class Served:
    """``operator``, ``admin``, ``alice``: keys; alice has limits."""

    gateway: Gateway
    engine: Engine
    operator: str
    admin: str
    alice: str
    store: Path

    def get(self, path: str, key: str = "", **headers: str) -> httpx.Response:
        return httpx.get(self.gateway.url + path, headers={**(bearer(key) if key else {}), **headers})

    def ask(self, key: str) -> None:
        """One whole answer."""
        url = f"{self.gateway.url}/v1/chat/completions"
        httpx.post(url, json=chat(max_tokens=5), headers=bearer(key)).raise_for_status()


def _reports(folder: Path) -> Path:
    run = folder / "reports" / "2026-11-30_15-04-52"
    run.mkdir(parents=True)
    stage = {"requests": 30, "failures": 1, "output_tokens_per_s": 812.4, "ttft_ms": {"p50": 51.0, "p95": 90.0}}
    summary = {
        "schema": "fullbatch.loadtest.summary/1",
        "started_at": "2026-11-30T15:04:52+00:00",
        "workload": EVIL,
        "verdict": "Ran clean: every request got its whole answer.",
        "stages": [{"side": "server", "label": f"{users} users", **stage} for users in (1, 50)],
    }
    (run / "summary.json").write_text(json.dumps(summary))
    (run / "report.html").write_text(f"<html>{run.name}")
    return run.parent


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("pages")
    store = folder / "store"
    operator, admin = keys(store, "create", "ops")["key"], keys(store, "create", "boss")["key"]
    terms = ("--requests-per-minute", "60", "--tokens-per-minute", "100000", "--concurrent", "4")
    alice = keys(store, "create", "alice", *terms)["key"]
    engines = [
        Engine(folder, kv_tokens=PLANNED_KV_TOKENS, block_size=50),
        Engine(folder, model=EVIL, kv_tokens=REPORTED_KV_TOKENS, block_size=50),
    ]
    numbers = {
        "max_num_seqs": 64,
        "max_num_batched_tokens": 2048,
        "max_model_len": 4096,
        "kv_cache_tokens": PLANNED_KV_TOKENS,
    }
    listed = [
        {"name": f"engine{model[:4]}", "url": engine.url, "models": [model], **numbers}
        for model, engine in zip(("tiny", EVIL), engines, strict=True)
    ]
    gateway = Gateway(
        folder, [], store=str(store), operators=["ops"], admins=["boss"], engines=listed, memory=MEMORY,
        reports=str(_reports(folder)),
        public_urls=["https://llm.example", "http://box.lan:8080"],
    )  # fmt: skip
    status = f"{gateway.url}/ui/v1/status"
    wait_until(lambda: httpx.get(status).json()["state"] == "up", START_S, "both models served")
    yield Served(gateway, engines[0], operator, admin, alice, store)
    for process in (gateway, *engines):
        process.stop()
