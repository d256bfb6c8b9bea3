"""Keys, usage and secrets in the volumes of this project, read and written by containers of the gateway's image.

On the host the volumes belong to root, and with a Docker Engine elsewhere they are elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from fullbatch.core import host
from fullbatch.runtime import dotenv, state_files
from fullbatch.runtime.compose import deployment, docker_cli, images

# Volume -> the user that writes in it (compose.yaml): the gateway, and the one-shot `secrets`.
GATEWAY, ROOT = "10001:0", "0:0"
VOLUMES = {
    "gateway-state": GATEWAY,
    "tls-data": GATEWAY,
    **{f"secrets-{name}": ROOT for name in ("gateway", "grafana", "locust", "chat")},
}
_VERSION = "from gateway.keys.schema import VERSION; print(VERSION)"


def read(root: Path, by: str | None = None) -> dict[str, bytes]:
    """VOLUME/NAME -> content; empty where this project has no volumes, or no Docker answers.

    `by`: an image of the gateway known to be good; None: the one that runs, or would.
    """
    there = _volumes(root)
    if not there:
        return {}
    # Group 0 may read what root has made; the store only its owner.
    words = ["--user", GATEWAY, *_mounts(root, there, ":ro", {"gateway-state": ""})]
    return state_files.unpacked(_run([*words, *_program(by or image(root)), "save", "/kept"]))


def write(root: Path, files: Mapping[str, bytes], by: str | None = None) -> None:
    """What `read` gave, back in its place; volumes that are not there are made, as Compose would."""
    wanted = sorted({Path(name).parts[0] for name in files} & VOLUMES.keys())
    image_of = by or image(root)
    program = _program(image_of)
    for name in sorted(set(wanted) - set(_volumes(root))):
        labels = [f"--label=com.docker.compose.{key}={value}" for key, value in _labels(root, name)]
        docker_cli.call(["volume", "create", *labels, _full(root, name)])
        open_up = ["--user", ROOT, *_mounts(root, [name], "", {}), "--entrypoint", "chmod", image_of]
        _run([*open_up, "0770", f"/kept/{name}"])
    for user in (GATEWAY, ROOT):
        names = [name for name in wanted if VOLUMES[name] == user]
        mine = {name: content for name, content in files.items() if Path(name).parts[0] in names}
        if mine:
            mounts = _mounts(root, names, "", {})
            _run(["--user", user, *mounts, *program, "load", "/kept"], state_files.packed(mine))


def store_version(root: Path) -> int | None:
    """Of the gateway's image that this checkout starts; None where it is not here, or no Docker answers."""
    if host.docker().problem or docker_cli.identity(image(root)) is None:
        return None
    return int(_run(["--entrypoint", "python", image(root), "-c", _VERSION]))


def image(root: Path) -> str:
    """The gateway's image that runs, else the one that would."""
    for container in deployment.containers("gateway"):
        return str(container.attrs["Image"])
    return images.gateway(root)


def _volumes(root: Path) -> list[str]:
    """Those of ours that are there."""
    if host.docker().problem:
        return []
    listed = docker_cli.call(["volume", "ls", "--format", "{{.Name}}"]).decode().split()
    return [name for name in VOLUMES if _full(root, name) in listed]


def _full(root: Path, name: str) -> str:
    return f"{dotenv.project(root)}_{name}"


def _labels(root: Path, name: str) -> list[tuple[str, str]]:
    return [("project", dotenv.project(root)), ("volume", name)]


def _mounts(root: Path, names: Sequence[str], mode: str, other: Mapping[str, str]) -> list[str]:
    return [f"--volume={_full(root, name)}:/kept/{name}{other.get(name, mode)}" for name in names]


def _program(image: str) -> list[str]:
    text = Path(state_files.__file__).read_text(encoding="utf-8")
    return ["--entrypoint", "python", image, "-c", text]


def _run(words: Sequence[str], given: bytes = b"") -> bytes:
    safe = ["--rm", "--interactive", "--network=none", "--cap-drop=ALL", "--security-opt=no-new-privileges:true"]
    return docker_cli.call(["run", *safe, "--read-only", "--tmpfs=/tmp:mode=1777,size=1g", *words], given)
