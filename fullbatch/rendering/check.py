"""What `docker compose config` does not find: stale files, a `$` Compose would eat, flags the engine does not know."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fullbatch.core.errors import HostError
from fullbatch.rendering import files

_TIMEOUT = 120.0
# What the owner of several machines sets; any address does for a check.
_ADDRESSES = {"NODE0_ADDRESS": "192.0.2.1", "NODE_ADDRESS": "192.0.2.2"}


@dataclass(frozen=True)
class CheckedFiles:
    """`problems`: what is wrong, a line each. `skipped`: what could not be looked at here, and why."""

    problems: tuple[str, ...]
    skipped: tuple[str, ...]


def check(root: Path, names: list[str]) -> CheckedFiles:
    """Check the rendered files of the profiles `names`."""
    problems = [f"{path}: stale or missing; run `fullbatch render`" for path in files.stale(root, names)]
    problems += [f"{path}: its profile is gone; remove the folder" for path in files.orphans(root)]
    skipped: list[str] = []
    if not problems:
        for found, missed in (_compose(root, names), _engine_commands(root, names)):
            problems += found
            skipped += missed
        problems += _service_twins(root, names)
    return CheckedFiles(tuple(problems), tuple(skipped))


def engine_commands(root: Path, name: str) -> dict[str, list[str]]:
    """The engine commands of a rendered profile, as a container would get them: service -> words.

    Those of other machines stand under the service and its file, such as `engine of node-1.yaml`.
    """
    folder = root / "rendered" / name
    return {
        service if path.name == "compose.yaml" else f"{service} of {path.name}": [
            str(word).replace("$$", "$") for word in settings["command"]
        ]
        for path in [folder / "compose.yaml", *_node_files(folder)]
        for service, settings in _services(path).items()
        if "fullbatch.profile" in settings.get("labels", {})
    }


def _node_files(folder: Path) -> list[Path]:
    """The files of the other machines, where a profile is for several."""
    return sorted(folder.glob("node-*.yaml"))


def _services(path: Path) -> dict[str, dict[str, list[str]]]:
    found: dict[str, dict[str, list[str]]] = yaml.safe_load(path.read_text(encoding="utf-8"))["services"]
    return found


def _engine_commands(root: Path, names: list[str]) -> tuple[list[str], list[str]]:
    python = root / ".fullbatch" / "engine" / "bin" / "python"
    if not python.exists():
        return [], ["engine flags: vLLM is not installed here (scripts/install-engine), so its parser was not asked"]
    labelled = [
        (f"rendered/{name}: {service}", words)
        for name in names
        for service, words in engine_commands(root, name).items()
    ]
    complaints = ask_engine_parser(root, python, [words for _, words in labelled])
    return [f"{label}: {said}" for (label, _), said in zip(labelled, complaints, strict=True) if said], []


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


def _compose(root: Path, names: list[str]) -> tuple[list[str], list[str]]:
    command = compose_program()
    if command is None:
        return [], ["compose.yaml: Docker Compose is not installed here, so it was not asked"]
    problems = []
    for name in names:
        paths = [Path("compose.yaml"), *(path.relative_to(root) for path in _node_files(root / "rendered" / name))]
        for path in paths:
            said = _config(command, root, name, path)
            if said:
                problems.append(f"{path} with PROFILE={name}: {said}")
    return problems, []


def _config(command: list[str], root: Path, name: str, path: Path) -> str:
    """What `docker compose config` has to say of a file; a warning counts: it is how Compose says that it put an
    empty string somewhere."""
    answer = subprocess.run(
        [*command, "-f", str(path), "--project-directory", ".", "--profile", "*", "config", "--quiet"], cwd=root,
        env={"PROFILE": name, "PATH": "/usr/bin:/bin", "HOME": str(Path.home()), **_ADDRESSES},
        capture_output=True, text=True, timeout=_TIMEOUT, check=False,
    )  # fmt: skip
    said = " ".join((answer.stdout + answer.stderr).split())
    return said or ("it is refused without a word" if answer.returncode != 0 else "")


def compose_program() -> list[str] | None:
    """How to call Compose here: the plugin, or the bare binary that the tests' lock brings."""
    beside = Path(sys.executable).parent / "docker-compose"
    if beside.exists():
        return [str(beside)]
    docker = shutil.which("docker")
    if docker is None:
        return None
    plugin = subprocess.run([docker, "compose", "version"], capture_output=True, timeout=_TIMEOUT, check=False)
    return [docker, "compose"] if plugin.returncode == 0 else None


def _service_twins(root: Path, names: list[str]) -> list[str]:
    """Compose merges a service that stands in both files silently, in spite of its specification."""
    fixed = set(_services(root / "compose.yaml"))
    return [
        f"rendered/{name}/compose.yaml: service '{service}' also stands in compose.yaml; rename one"
        for name in names
        for service in sorted(fixed & set(_services(root / "rendered" / name / "compose.yaml")))
    ]
