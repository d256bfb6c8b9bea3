"""KV cache on disk for engines that run as processes: its folder, and what keeps it below its quota."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from fullbatch.core import host
from fullbatch.core.errors import HostError
from fullbatch.planning.plan import Plan
from fullbatch.runtime import kv_prune
from fullbatch.runtime.process import state


def keeper(root: Path, plan: Plan) -> list[str] | None:
    """The command that runs beside the engines of `plan`, its folder made; None where nothing lies on disk.

    HostError where the folder cannot be had for its owner alone.
    """
    quota = plan.engines[0].beside.kv_disk_gib
    if not quota:
        return None
    folder = state.kv_folder(root, plan.name)
    try:
        kv_prune.prepare(folder)
        folder.chmod(0o700)
    except OSError as error:
        raise HostError(f"{folder}: {error.strerror}; it must be a folder of yours, and no link") from error
    return [sys.executable, "-m", "fullbatch.runtime.kv_prune", str(folder), "--quota-gib", str(quota)]


def shortages(root: Path, plan: Plan) -> list[str]:
    """A line where the disk has no room for the quota, beside what lies there already."""
    quota, folder = plan.engines[0].beside.kv_disk_gib, state.kv_folder(root, plan.name)
    if not quota:
        return []
    free, there = host.free_disk_gib(folder), _taken(folder) / kv_prune.GIB
    if free + there >= quota:
        return []
    return [
        f"profiles/{plan.name}.yaml: kv_offload.disk.quota_gib: {quota} GiB, {free:.0f} GiB are free at "
        f"{folder.parent} beside {there:.0f} GiB of blocks; write at most {int(free + there)}"
    ]


def _taken(folder: Path) -> int:
    """Bytes of the files below `folder`, links not followed."""
    return sum(
        os.lstat(Path(where) / name).st_size for where, _, names in os.walk(folder) for name in names
    )  # fmt: skip
