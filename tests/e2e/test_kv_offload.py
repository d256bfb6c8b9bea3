"""KV cache beyond the card, as far as it can be seen without one: the pinned vLLM's parser, classes and disk tier.

The tier really writes blocks and reads them again, in the engine's own Python; our pruner takes some away meanwhile.
Not seen: a card that copies its blocks into the memory tier, which 0.32 does on CUDA only (v1/kv_offload/cpu/spec.py).
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from fullbatch.planning import profile
from fullbatch.planning.engine_plan import EnginePlan
from fullbatch.planning.plan import make
from fullbatch.rendering import check
from fullbatch.runtime import kv_prune
from tests.fullbatch.checkout import REPOSITORY

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

PYTHON = REPOSITORY / ".fullbatch" / "engine" / "bin" / "python"


def _engine(**changes: Any) -> EnginePlan:
    data = {"description": "d", "model": "Qwen/Qwen3.6-27B", "hardware": {"gpu": "h100"}, "users": 2}
    return make("x", profile.parse(data | changes, "x")).engines[0]


def test_the_pinned_engines_parser_takes_every_form() -> None:
    asked = (
        {"kv_offload": {"ram_gib": 32}},
        {"kv_offload": {"ram_gib": 32, "disk": {"quota_gib": 200}}},
        {"speculative": "mtp"},
        {"speculative": "ngram"},
        {"model": "google/gemma-4-31B-it", "speculative": "mtp"},
        {"model": "Qwen/Qwen3-8B", "speculative": "eagle3"},
        {"model": "Qwen/Qwen3-8B", "speculative": {"method": "draft", "model": "Qwen/Qwen3-0.6B"}},
    )
    commands = [_engine(**changes).command("m", "127.0.0.1", 8000, kv="/srv/kv") for changes in asked]
    assert check.ask_engine_parser(REPOSITORY, PYTHON, commands) == [None] * len(commands)


@pytest.fixture
def tier(tmp_path: Path) -> Any:
    """The engine's Python with its tier, its folder, and the paths of four blocks in it."""
    folder = tmp_path / "kv"
    kv_prune.prepare(folder)
    wanted = {"ram_gib": 1, "disk": {"quota_gib": 1}}
    words = _engine(kv_offload=wanted).worker_command("m", kv=str(folder))
    place = words.index("--kv-transfer-config")
    assert str(folder) in words[place + 1], "or it would write elsewhere on this machine"
    environment = os.environ | {"VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "ERROR"}
    with subprocess.Popen(
        [str(PYTHON), "-P", str(Path(__file__).with_name("kv_tier.py"))], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, env=environment,
    ) as running:  # fmt: skip
        try:
            assert running.stdin and running.stdout and running.stderr
            running.stdin.write(json.dumps({"argv": words[place : place + 2]}) + "\n")
            running.stdin.flush()
            yield running, folder, _answer(running)
        finally:
            running.kill()


def _answer(running: subprocess.Popen[str]) -> dict[str, Any]:
    assert running.stdout and running.stderr
    for line in running.stdout:
        if line.startswith("{"):
            found: dict[str, Any] = json.loads(line)
            return found
    raise AssertionError(running.stderr.read()[-2000:])


def test_the_disk_tier_of_our_flag_is_pruned_and_reads_what_is_left(tier: Any) -> None:
    running, folder, said = tier
    assert (said["stored"], said["connector"], said["role"]) == (True, "OffloadingConnector", "kv_both")
    paths = [Path(path) for path in said["paths"]]
    assert all(path.is_relative_to(folder) and path.stat().st_size == 4096 for path in paths)
    for age, path in zip((400, 300, 200, 100), reversed(paths), strict=True):  # the last one is the oldest
        os.utime(path, (time.time() - age, time.time() - age))
    done = kv_prune.prune(folder, 3 * 4096, time.time())
    assert (done.found, done.files) == (4 * 4096, 2)
    assert [path.exists() for path in paths] == [True, True, False, False]
    assert list(folder.glob("*/config.json")), "what the engine wrote beside its blocks stays"
    running.stdin.write("\n")
    running.stdin.flush()
    found = _answer(running)
    assert found["hits"] == [True, True, False, False]
    assert (found["success"], found["kept"]) == (False, [0, 1]), "what is gone is computed again, the rest is used"
    assert found["right"][:2] == [True, True]
