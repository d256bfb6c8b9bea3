"""KV cache beyond the card, in the machine's memory and on disk: the engine's flags, and what is refused. Pure.

vLLM's own connector does both (OffloadingConnector, v1/kv_offload); it knows windows and states. Its disk has no bound
of its own in 0.32, so `runtime/kv_prune.py` runs beside the engine.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from fullbatch import catalog
from fullbatch.catalog import Model
from fullbatch.planning import sizing
from fullbatch.planning.feasible import CannotWork
from fullbatch.planning.flags import Flag
from fullbatch.planning.profile import Profile

# Where a plan says that the disk is; a runtime has its own place (`placed`).
FOLDER = "/kv-offload"


def flag(profile: Profile) -> Flag | None:
    """What the engine is told; None where the profile wants nothing of it."""
    wanted = profile.kv_offload
    if wanted is None:
        return None
    if wanted.disk is None:
        reason = "GiB of the machine's memory for KV cache that the card has no room for (profile: kv_offload)"
        return Flag("kv-offloading-size", wanted.ram_gib, reason)
    reason = "KV cache that the card has no room for goes to the machine's memory and on disk (profile: kv_offload)"
    tiers = {
        "spec_name": "TieringOffloadingSpec",
        "cpu_bytes_to_use": wanted.ram_gib * sizing.GIB,
        "secondary_tiers": [{"type": "fs", "root_dir": FOLDER}],
    }
    said = {"kv_connector": "OffloadingConnector", "kv_role": "kv_both", "kv_connector_extra_config": tiers}
    return Flag("kv-transfer-config", json.dumps(said, separators=(",", ":")), reason)


def placed(words: Sequence[str], folder: str) -> list[str]:
    """A command with `folder` as the place on disk."""
    ours, other = (f'"root_dir":{json.dumps(one)}' for one in (FOLDER, folder))
    return [word.replace(ours, other) if word.startswith("{") else word for word in words]


def refuse(profile: Profile, model: Model) -> None:
    """CannotWork where KV cache cannot be kept beyond the card."""
    for reason in _reasons(profile, model):
        raise CannotWork(reason)


def assumed(profile: Profile, budget: sizing.Budget, held: sizing.Capacity) -> list[str]:
    """What it holds, in sentences. `budget`: of one copy of the model."""
    wanted = profile.kv_offload
    if wanted is None:
        return []
    more = int(wanted.ram_gib * sizing.GIB / max(1, held.kv_bytes_per_token))
    memory = f"kv_offload: {wanted.ram_gib} GiB of the machine's memory hold about {more:,} tokens"
    said = [f"{memory}, for each copy of the model"]
    if wanted.ram_gib < budget.kv_gib:
        said.append(
            f"kv_offload: the card's own KV cache is {budget.kv_gib:.1f} GiB; less memory than that holds little that "
            "the card does not"
        )
    if wanted.disk:
        said.append(
            f"kv_offload: up to {wanted.disk.quota_gib} GiB lie on disk, and what was written in the last half minute; "
            "whoever can read them can learn what was asked"
        )
    return said


def _reasons(profile: Profile, model: Model) -> Iterator[str]:
    args = profile.engine.args
    version = catalog.engine().version
    if profile.kv_offload is None:
        return
    beside = next((name for name in args if name.split(".")[0] == "kv-transfer-config"), None)
    if beside:
        yield f"kv_offload: engine.args.{beside} says the same; remove one of the two"
    if profile.hardware.cpu:
        yield "kv_offload: on the processor the KV cache is in the machine's memory; use hardware.cpu.kv_cache_gib"
    if model.pooling or not model.keeps:
        yield f"kv_offload: {model.name} keeps nothing of a request; remove it"
    if profile.hardware.nodes > 1:
        yield "kv_offload: over several machines (hardware.nodes) it is not supported here; remove it"
    if args.get("enable-prefix-caching") is False:
        yield "kv_offload: it serves beginnings of prompts again; remove engine.args.enable-prefix-caching, or this"
    if profile.kv_offload.disk and str(args.get("prefix-caching-hash-algo", "sha256")).startswith("xxhash"):
        found = f"with xxhash vLLM {version} finds nothing again after a restart"
        yield f"kv_offload.disk: {found}; remove prefix-caching-hash-algo"
