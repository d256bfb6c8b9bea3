"""KV cache beyond the card: what the engine is told, what it holds, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fullbatch.core.errors import UsageError
from fullbatch.planning import kv_offload, profile
from fullbatch.planning.plan import Plan, make

RAM, DISK = {"ram_gib": 32}, {"ram_gib": 32, "disk": {"quota_gib": 200}}
TINY = {"model": "tiny", "hardware": {"cpu": {"kv_cache_gib": 1}}}


def _plan(wanted: Any = None, **changes: Any) -> Plan:
    data = {"description": "d", "model": "meta-llama/Llama-3.1-8B-Instruct", "hardware": {"gpu": "rtx4090"}}
    return make("x", profile.parse(data | ({"kv_offload": wanted} if wanted else {}) | changes, "profiles/x.yaml"))


def _refusal(wanted: Any, **changes: Any) -> str:
    with pytest.raises(UsageError) as raised:
        _plan(wanted, **changes)
    return str(raised.value).removeprefix("profiles/x.yaml: ")


def _flags(plan: Plan) -> dict[str, Any]:
    return {flag.name: flag.value for flag in plan.engines[0].flags if flag.name.startswith("kv-")}


def test_memory_is_one_flag() -> None:
    plan = _plan(RAM)
    assert _flags(plan) == {"kv-offloading-size": 32}
    assert (plan.engines[0].beside.kv_memory_gib, plan.engines[0].beside.kv_disk_gib) == (32, 0)
    assert _flags(_plan()) == {}


def test_disk_is_a_tier_behind_the_memory() -> None:
    plan = _plan(DISK)
    said = json.loads(_flags(plan)["kv-transfer-config"])
    assert said == {
        "kv_connector": "OffloadingConnector",
        "kv_role": "kv_both",
        "kv_connector_extra_config": {
            "spec_name": "TieringOffloadingSpec",
            "cpu_bytes_to_use": 32 * 2**30,
            "secondary_tiers": [{"type": "fs", "root_dir": "/kv-offload"}],
        },
    }
    assert plan.engines[0].beside.kv_disk_gib == 200


def test_a_runtime_has_its_own_place_on_disk() -> None:
    engine = _plan(DISK).engines[0]
    words = engine.command("m", "h", 1, kv='/srv/a "b"/kv')
    word = words[words.index("--kv-transfer-config") + 1]
    flag = json.loads(word)
    assert flag["kv_connector_extra_config"]["secondary_tiers"] == [{"type": "fs", "root_dir": '/srv/a "b"/kv'}]
    ours = engine.command("m", "h", 1)
    assert [one for one, other in zip(words, ours, strict=True) if one != other] == [word]
    assert kv_offload.placed(["/kv-offload", "x"], "/y") == ["/kv-offload", "x"]


def test_the_card_holds_what_it_held() -> None:
    assert _plan(DISK).capacity == _plan().capacity
    assert _plan(DISK).budget == _plan().budget


def test_what_it_holds_is_said() -> None:
    said = " ".join(_plan(DISK).assumptions)
    assert "32 GiB of the machine's memory hold about 262,144 tokens" in said  # of 128 KiB
    assert "up to 200 GiB lie on disk" in said and "whoever can read them" in said
    assert "the card's own KV cache" not in said
    assert "the card's own KV cache is 4.8 GiB" in " ".join(_plan({"ram_gib": 2}).assumptions)


@pytest.mark.parametrize(
    ("wanted", "changes", "said"),
    [
        (RAM, TINY, "kv_offload: on the processor the KV cache is in the machine's memory; use hardware.cpu."),
        (RAM, {"model": "BAAI/bge-m3"}, "kv_offload: BAAI/bge-m3 keeps nothing of a request; remove it"),
        (
            RAM,
            {"model": "meta-llama/Llama-3.1-405B-Instruct", "hardware": {"gpu": "h100", "count": 8, "nodes": 2}},
            "kv_offload: over several machines (hardware.nodes) it is not supported here; remove it",
        ),
        (None, {"engine": {"args": {"kv-offloading-size": 8}}}, "engine.args.kv-offloading-size: use kv_offload"),
        (
            RAM, {"engine": {"args": {"kv-transfer-config.kv_connector": "X"}}},
            "kv_offload: engine.args.kv-transfer-config.kv_connector says the same; remove one of the two",
        ),
        (RAM, {"engine": {"args": {"enable-prefix-caching": False}}}, "kv_offload: it serves beginnings of prompts"),
        (
            DISK, {"engine": {"args": {"prefix-caching-hash-algo": "xxhash"}}},
            "kv_offload.disk: with xxhash vLLM 0.32.0 finds nothing again after a restart",
        ),
        (
            None, {"engine": {"args": {"kv-offloading-backend": "lmcache"}}},
            "engine.args.kv-offloading-backend: lmcache needs a server of its own",
        ),
    ],
)  # fmt: skip
def test_where_it_does_not_work_it_is_refused(wanted: Any, changes: dict[str, Any], said: str) -> None:
    refusal = _refusal(wanted, **changes)
    assert refusal.startswith(said) and "\n" not in refusal, refusal
