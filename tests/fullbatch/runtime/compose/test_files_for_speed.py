"""What `kv_offload` and `speculative` of a profile make of the files that Compose reads."""

from __future__ import annotations

from typing import Any

import yaml

from fullbatch.planning import profile
from fullbatch.planning.plan import Plan, make
from fullbatch.runtime.compose import files
from tests.fullbatch.checkout import REPOSITORY


def _files(plan: Plan) -> dict[str, Any]:
    found = files.files(REPOSITORY, plan)
    return {name: yaml.safe_load(text) for name, text in found.items() if name.endswith(".yaml")}


def _on_a_card(**changes: Any) -> Plan:
    data = {"description": "d", "model": "Qwen/Qwen3-8B", "hardware": {"gpu": "rtx4090"}, "users": 2}
    return make("x", profile.parse(data | changes, "x"))


def test_kv_cache_in_memory_is_shared_memory_of_the_container() -> None:
    plain, held = (_files(_on_a_card(**one))["compose.yaml"] for one in ({}, {"kv_offload": {"ram_gib": 32}}))
    assert (plain["services"]["engine"]["shm_size"], held["services"]["engine"]["shm_size"]) == ("2gb", "34gb")
    assert "kv-prune" not in held["services"] and "volumes" not in held


def test_kv_cache_on_disk_has_a_volume_of_its_own_that_is_pruned() -> None:
    found = _files(_on_a_card(kv_offload={"ram_gib": 8, "disk": {"quota_gib": 50}}))["compose.yaml"]
    services, mount = found["services"], {"type": "volume", "source": "kv-offload", "target": "/kv-offload"}
    assert found["volumes"] == {"kv-offload": {}}
    assert all(mount in services[name]["volumes"] for name in ("engine", "model", "kv-prune"))
    assert "chmod 0770 /kv-offload" in services["model"]["command"][0]
    pruner = services["kv-prune"]
    assert pruner["command"] == ["/kv-offload", "--quota-gib", "50"]
    assert pruner["network_mode"] == "none" and pruner["read_only"] and pruner["cap_drop"] == ["ALL"]
    assert pruner["image"] == services["engine"]["image"] and pruner["user"] == services["engine"]["user"]
    words = services["engine"]["command"]
    assert '"root_dir":"/kv-offload"' in words[words.index("--kv-transfer-config") + 1]


def test_copies_share_the_disk_and_one_pruner() -> None:
    wanted = {"hardware": {"gpu": "rtx4090", "replicas": 2}, "kv_offload": {"ram_gib": 8, "disk": {"quota_gib": 50}}}
    services = _files(_on_a_card(**wanted))["compose.yaml"]["services"]
    mount = {"type": "volume", "source": "kv-offload", "target": "/kv-offload"}
    assert all(mount in services[name]["volumes"] for name in ("engine", "engine-2"))
    assert sorted(services) == ["engine", "engine-2", "kv-prune", "model"]


def test_what_drafts_is_fetched_too() -> None:
    command = _files(_on_a_card(speculative="eagle3"))["compose.yaml"]["services"]["model"]["command"][0]
    assert "fetch.py Qwen/Qwen3-8B --also RedHatAI/Qwen3-8B-speculator.eagle3" in command
