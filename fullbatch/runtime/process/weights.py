"""Downloads the weights for an engine that runs as a process, before it starts."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from fullbatch import packaged
from fullbatch.core.errors import HostError
from fullbatch.packaged.facts import Package
from fullbatch.planning.engine_plan import EnginePlan
from fullbatch.runtime import fetch


def ready(engine: EnginePlan, program: str, models: Path) -> bool:
    """Whether its weights are there; False leaves them to the engine. HostError when they cannot be had.

    `models`: the folder that packaged models are kept in.
    """
    python = _python_of(Path(program))
    if engine.package:
        _packaged(engine.package, python, models)
        return True
    if not engine.fetched or python is None:
        return False
    # -P: the script's folder must not come first on the path, its module names shadow the standard library's.
    code = subprocess.run([python, "-P", str(Path(fetch.__file__)), *engine.fetched], check=False).returncode
    if code not in (fetch.THERE, fetch.NO_LIBRARY):
        what = f"the weights of {engine.model}" if engine.needs_weights else "the adapters"
        raise HostError(f"{what} are not here; the line above says why")
    return code == fetch.THERE


def _packaged(package: Package, python: str | None, models: Path) -> None:
    if python is None:
        raise HostError(
            f"the Python of `vllm` is not known, which {package.serve_as} is converted with; install vLLM by pip"
        )
    source = str(Path(packaged.__file__).parents[2])
    words = [python, "-P", "-m", "fullbatch.packaged", "--models", str(models), *package.words()]
    if subprocess.run(words, env=dict(os.environ) | {"PYTHONPATH": source}, check=False).returncode:
        raise HostError(f"{package.serve_as} is not here; the line above says why")


def _python_of(program: Path) -> str | None:
    """The Python that runs `vllm`: the first line of a script that pip has written."""
    try:
        with program.open("rb") as file:
            first = file.readline(1024).decode("utf-8", "replace").strip()
    except OSError:
        return None
    words = first.removeprefix("#!").split()
    return words[0] if first.startswith("#!") and "python" in Path(words[0]).name else None
