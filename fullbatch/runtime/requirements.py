"""What an engine needs of this machine: cards, disk for its weights, memory."""

from __future__ import annotations

import math
import os
from pathlib import Path
from urllib.parse import urlsplit

from fullbatch import catalog
from fullbatch.core import host
from fullbatch.core.check_result import CheckResult, fail, ok
from fullbatch.planning.engine_plan import EnginePlan
from fullbatch.planning.plan import Plan

# GiB of disk to leave beside the weights.
DISK_ROOM_GIB = 1.0
# What the parts of an engine need to talk to each other; containers get 64 MiB unless told otherwise.
SHARED_MEMORY = Path("/dev/shm")
SHARED_MEMORY_GIB = 0.25


def shortages(plan: Plan) -> list[str]:
    """What this machine lacks to run the engines of `plan` as processes, one line each."""
    disk = [line for part in plan.models for line in _disk(part.engines[0])]
    return [*missing_cards(plan), *disk, *memory(plan), *_shared_memory(plan)]


def missing_cards(plan: Plan) -> list[str]:
    """A line when the driver reports fewer cards than the profile wants, or not the one that it names."""
    if not plan.gpus:
        return []
    found = host.gpus()
    absent = [number for number in plan.card_ids if number >= len(found)]
    if found and absent and len(found) >= plan.gpus:
        listing = ", ".join(f"{number}: {name}" for number, name in enumerate(found))
        return [
            f"profiles/{plan.name}.yaml: hardware.device_ids: there is no card {absent[0]}; "
            f"the driver reports {listing}"
        ]
    if len(found) >= plan.gpus:
        return []
    said = ", ".join(found) or "none"
    return [
        f"profiles/{plan.name}.yaml wants {plan.gpus} NVIDIA card(s), the driver reports: {said}; "
        "take a cpu profile, or check `nvidia-smi`"
    ]


def memory_gib(plan: Plan) -> float:
    """GiB of main memory that the engines take: on the processor all, interpreter and PyTorch of each included; on
    cards what `kv_offload` keeps there, and weights of models that sleep."""
    if plan.engines[0].device != "cpu":
        asleep = sum(engine.budget.weights_gib for engine in plan.engines if engine.turn and engine.turn.sleep)
        return asleep + float(sum(engine.beside.kv_memory_gib for engine in plan.engines))
    if plan.parts:
        return plan.places[0].total_gib
    return plan.budget.total_gib + len(plan.engines) * catalog.calibration().cpu_process


def memory_setting(plan: Plan) -> str:
    """The setting of the profile that memory follows."""
    if any(engine.turn and engine.turn.sleep for engine in plan.engines):
        return "main_memory_gib to what this machine has: then models are stopped instead of put to sleep"
    return "hardware.cpu.kv_cache_gib" if plan.engines[0].device == "cpu" else "kv_offload.ram_gib"


def shared_memory_gib(plan: Plan) -> float:
    """GiB of /dev/shm that the engines take: one card is served without, but for what `kv_offload` keeps there."""
    between = 0.0 if all(engine.gpus == 1 for engine in plan.engines) else SHARED_MEMORY_GIB
    return between + sum(engine.beside.kv_memory_gib for engine in plan.engines)


def weights_folder(engine: EnginePlan) -> Path:
    """Where Hugging Face's library keeps the checkpoint of `engine` on this machine."""
    return hub_folder() / f"models--{engine.model.replace('/', '--')}"


def hub_folder() -> Path:
    """The cache of Hugging Face's library on this machine, as its own variables have it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache"))
    home = Path(os.environ.get("HF_HOME", cache / "huggingface"))
    return Path(os.environ.get("HF_HUB_CACHE", home / "hub")).expanduser()


def checkpoint_gib(engine: EnginePlan) -> float:
    """What the checkpoint takes on disk: once for all copies, and as it is before it is made FP8 while loading.

    Of a packaged one, at most while it is made.
    """
    if engine.package:
        return engine.package.disk_mib / 1024
    return engine.checkpoint_gib or engine.budget.weights_gib


def hf_token() -> bool:
    """Whether there is a Hugging Face token: in the environment, or kept by `hf auth login`."""
    home = Path(os.environ.get("HF_HOME", "~/.cache/huggingface"))
    kept = Path(os.environ.get("HF_TOKEN_PATH", home / "token")).expanduser()
    return bool(os.environ.get("HF_TOKEN", "").strip()) or (kept.is_file() and kept.stat().st_size > 0)


def token(engine: EnginePlan) -> list[CheckResult]:
    """A gated model wants a token to be fetched with; nothing for any other."""
    if not engine.gated:
        return []
    if hf_token():
        return [ok("token", f"there is one; {engine.model} is gated, its page must have let you in too")]
    fix = f"accept the licence on the page of {engine.model} at Hugging Face, then set HF_TOKEN=hf_..."
    return [fail("token", f"{engine.model} is gated, and there is no Hugging Face token", fix)]


def proxies() -> dict[str, str]:
    """The proxies that downloads of this shell go through, by variable, without user and password."""
    named = {name: os.environ.get(name) or os.environ.get(name.lower(), "") for name in ("HTTP_PROXY", "HTTPS_PROXY")}
    return {
        name: f"{urlsplit(url).scheme}://{urlsplit(url).netloc.rpartition('@')[2]}"
        for name, url in named.items()
        if url
    }


def hub() -> str:
    """Where weights come from, where that is not Hugging Face itself, without user and password; empty otherwise."""
    scheme, mark, rest = os.environ.get("HF_ENDPOINT", "").rstrip("/").rpartition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}"


def _disk(engine: EnginePlan) -> list[str]:
    folder = weights_folder(engine)
    if not engine.needs_weights or folder.exists():
        return []
    need, free = checkpoint_gib(engine) + DISK_ROOM_GIB, host.free_disk_gib(folder)
    if free >= need:
        return []
    return [
        f"{engine.model} needs {need:.0f} GiB of disk at {folder.parent}, {free:.1f} GiB are free; "
        "free some, or set HF_HOME to a larger disk"
    ]


def memory(plan: Plan) -> list[str]:
    """A line where the machine has less memory than the engines take."""
    need, available = memory_gib(plan), host.available_memory_gib()
    if available >= need:
        return []
    what = f"{_whole(plan)} with its KV cache" if not plan.gpus else f"profiles/{plan.name}.yaml: kv_offload"
    if plan.parts:
        what = f"profiles/{plan.name}.yaml: {_whole(plan)}"
    return [f"{what} needs {need:.1f} GiB of memory, {available:.1f} GiB are free; lower {memory_setting(plan)}"]


def _whole(plan: Plan) -> str:
    """Its model, or how many."""
    return f"all {len(plan.parts)} models" if plan.parts else plan.engines[0].model


def _shared_memory(plan: Plan) -> list[str]:
    need, free = shared_memory_gib(plan), host.free_disk_gib(SHARED_MEMORY)
    if free >= need:
        return []
    return [
        f"{SHARED_MEMORY} has {free * 1024:.0f} MiB free, the engine's processes need {need * 1024:.0f}; "
        f"{more_shared_memory(need)}"
    ]


def more_shared_memory(need: float) -> str:
    """How this machine, or the container that this is, gets `need` GiB of it."""
    size = f"{max(1, math.ceil(need))}g"
    if need <= 1:
        return f"start this container with --shm-size={size}"
    return f"start this container with --shm-size={size}, or sudo mount -o remount,size={size} {SHARED_MEMORY}"
