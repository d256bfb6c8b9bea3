"""`fullbatch check`: stale files, flags that the engine does not know, and what each runtime finds in its files."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from common.secrets import masked
from fullbatch.core.errors import HostError
from fullbatch.rendering import files
from fullbatch.runtime import registry
from fullbatch.runtime.base import CheckedFiles

_TIMEOUT = 120.0


def check(root: Path, names: list[str]) -> CheckedFiles:
    """Check the rendered files of the profiles `names`."""
    problems = [f"{path}: stale or missing; run `fullbatch render`" for path in files.stale(root, names)]
    problems += [f"{path}: nothing writes it any more; remove it" for path in files.orphans(root)]
    skipped: list[str] = []
    if not problems:
        for found in (*(one.check_files(root, names) for one in registry.RUNTIMES), _engine_commands(root, names)):
            problems += found.problems
            skipped += found.skipped
    return CheckedFiles(tuple(problems), tuple(skipped))


def _engine_commands(root: Path, names: list[str]) -> CheckedFiles:
    python = root / ".fullbatch" / "engine" / "bin" / "python"
    if not python.exists():
        why = "vLLM is not installed here (scripts/install-engine), so its parser was not asked"
        return CheckedFiles(skipped=(f"engine flags: {why}",))
    labelled = [
        (f"rendered/{name}: {service}", words)
        for name in names
        for runtime in registry.RUNTIMES
        for service, words in runtime.engine_commands(root, name).items()
    ]
    complaints = ask_engine_parser(root, python, [words for _, words in labelled])
    said = [f"{label}: {masked(one)}" for (label, _), one in zip(labelled, complaints, strict=True) if one]
    return CheckedFiles(tuple(said))


def ask_engine_parser(root: Path, python: Path, commands: list[list[str]]) -> list[str | None]:
    """vLLM's own verdict on each command: None, or its message."""
    complaints: list[str | None] = json.loads(_ask_engine(root, python, json.dumps(commands)))
    return complaints


def engine_flags(root: Path, python: Path) -> dict[str, dict[str, Any]]:
    """What the installed vLLM's parser takes, as scripts/record-flags records it."""
    found: dict[str, dict[str, Any]] = json.loads(_ask_engine(root, python, "", "flags"))
    return found


def _ask_engine(root: Path, python: Path, said: str, *words: str) -> str:
    # -P: the script's folder must not come first on the path, its module names shadow the standard library's.
    answer = subprocess.run(
        [str(python), "-P", str(root / "fullbatch" / "rendering" / "engine_parser.py"), *words],
        input=said, capture_output=True, text=True, timeout=_TIMEOUT, check=False,
    )  # fmt: skip
    if answer.returncode != 0:
        last = (answer.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise HostError(
            f"vLLM in {python.parent.parent} does not start ({last}); install it anew: scripts/install-engine"
        )
    return answer.stdout.splitlines()[-1]
