"""Checks rendered files with Compose, and for what Compose does not report: services that are in two files."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from fullbatch.runtime.base import CheckedFiles

_TIMEOUT = 120.0
# What the owner of several machines sets; any address does for a check.
_ADDRESSES = {"NODE0_ADDRESS": "192.0.2.1", "NODE_ADDRESS": "192.0.2.2"}


def check(root: Path, names: Sequence[str]) -> CheckedFiles:
    """What Compose itself says of the files of the profiles `names`, and what it merges without a word."""
    command = compose_program()
    if command is None:
        skipped = "compose.yaml: Docker Compose is not installed here, so it was not asked"
        return CheckedFiles(_service_twins(root, names), (skipped,))
    problems: list[str] = []
    for name in names:
        paths = [Path("compose.yaml"), *(path.relative_to(root) for path in _node_files(root / "rendered" / name))]
        for path in paths:
            said = _config(command, root, name, path)
            if said:
                problems.append(f"{path} with PROFILE={name}: {said}")
    return CheckedFiles((*problems, *_service_twins(root, names)))


def engine_commands(root: Path, name: str) -> dict[str, list[str]]:
    """The engine commands of a rendered profile, as a container would get them: service -> words.

    Those of other machines stand under the service and its file, such as `engine of node-1.yaml`.
    """
    folder = root / "rendered" / name
    return _launched(folder) | {
        service if path.name == "compose.yaml" else f"{service} of {path.name}": [
            str(word).replace("$$", "$") for word in settings["command"]
        ]
        for path in [folder / "compose.yaml", *_node_files(folder)]
        for service, settings in _services(path).items()
        if "fullbatch.profile" in settings.get("labels", {}) and "entrypoint" not in settings
    }


def _launched(folder: Path) -> dict[str, list[str]]:
    """Those of models that take turns, which launchers start: launcher and model -> words after `vllm serve`."""
    found = {}
    for path in sorted(folder.glob("launcher-*.json")):
        for model in json.loads(path.read_text(encoding="utf-8"))["models"]:
            found[f"{path.stem} {model['name']}"] = model["command"][2:]
    return found


def _node_files(folder: Path) -> list[Path]:
    """The files of the other machines, where a profile is for several."""
    return sorted(folder.glob("node-*.yaml"))


def _services(path: Path) -> dict[str, dict[str, list[str]]]:
    found: dict[str, dict[str, list[str]]] = yaml.safe_load(path.read_text(encoding="utf-8"))["services"]
    return found


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


def _service_twins(root: Path, names: Sequence[str]) -> tuple[str, ...]:
    """Compose merges a service that stands in both files silently, in spite of its specification."""
    fixed = set(_services(root / "compose.yaml"))
    return tuple(
        f"rendered/{name}/compose.yaml: service '{service}' also stands in compose.yaml; rename one"
        for name in names
        for service in sorted(fixed & set(_services(root / "rendered" / name / "compose.yaml")))
    )
