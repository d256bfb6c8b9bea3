"""The plan's KV tokens against those of the real engine, for every kind of layer the processor's backend can run."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from fullbatch import catalog
from fullbatch.catalog import config_json
from fullbatch.planning import kvcache, sizing

ROOT = Path(__file__).resolve().parents[2]
FAMILIES: dict[str, Any] = json.loads((ROOT / "tests/fixtures/kv-families.json").read_text(encoding="utf-8"))
# No usage report, nothing fetched, and the core in this process: it starts in seconds.
ENVIRONMENT = {
    "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1", "VLLM_HOST_IP": "127.0.0.1",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_LOGGING_LEVEL": "WARNING",
}  # fmt: skip

# With AMX tiles vLLM takes another MLA backend, whose blocks are those of the others (platforms/cpu.py).
AMX = "amx_tile" in Path("/proc/cpuinfo").read_text(encoding="utf-8")

pytestmark = [pytest.mark.engine]


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    models = {name: family["config"] for name, family in FAMILIES["models"].items()}
    scratch = tmp_path_factory.mktemp("engine")
    answer = subprocess.run(
        [str(ROOT / ".fullbatch/engine/bin/python"), "-P", str(ROOT / "tests/e2e/kv_families.py")],
        input=json.dumps({"asked": FAMILIES["asked"], "models": models}), cwd=scratch,
        env=os.environ | ENVIRONMENT | {"VLLM_CACHE_ROOT": str(ROOT / ".fullbatch/cache/vllm")},
        capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr[-3000:]
    found: dict[str, int] = json.loads(answer.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("name", FAMILIES["models"])
def test_the_engine_holds_exactly_as_many_tokens_as_predicted(reported: dict[str, int], name: str) -> None:
    model = config_json.parse(FAMILIES["models"][name]["config"], Path(name) / "config.json")
    asked, pinned = FAMILIES["asked"], catalog.engine()
    block = pinned.block_size["cpu_mla" if model.kv_latent and not AMX else "cpu"]
    cache = kvcache.Cache(block=block, in_flight=pinned.batches_at_once["cpu"] * asked["max_num_batched_tokens"])
    budget = sizing.Budget(0, 0, 0, 0, asked["kv_cache_memory_bytes"] / sizing.GIB)
    assert sizing.capacity(budget, model, asked["max_model_len"], cache).kv_tokens == reported[name]
