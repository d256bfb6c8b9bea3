"""The volume with the weights, read by a container, because on the host it belongs to root."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

from fullbatch.core.errors import HostError
from fullbatch.runtime import dotenv, hub_cache
from fullbatch.runtime.base import WeightStore
from fullbatch.runtime.compose import images
from fullbatch.runtime.hub_cache import Revision

_TIMEOUT = 300.0


class VolumeStore(WeightStore):
    """The models volume of this project. Nobody but the stack keeps anything there."""

    shared = False

    def __init__(self, root: Path) -> None:
        self.volume = f"{dotenv.project(root)}_models"
        self.where = f"Docker volume {self.volume}"
        # Built by the first `docker compose up`, and has a Python; the engine's own image is many times as large.
        self.image = images.gateway(root)

    def exists(self) -> bool:
        """Whether there is one, and an image to look into it with."""
        return all(_docker("inspect", "--type", kind, name) is not None for kind, name in self._wanted())

    def revisions(self) -> list[Revision]:
        """What is in it; HostError when Docker does not say."""
        found = json.loads(self._run(":ro"))
        return [Revision(**one | {"branches": tuple(one["branches"])}) for one in found]

    def remove(self, chosen: Sequence[tuple[str, str]]) -> int:
        """Take away these revisions; bytes freed."""
        return int(json.loads(self._run("", "--remove", *(f"{name}@{revision}" for name, revision in chosen)))["freed"])

    def _wanted(self) -> list[tuple[str, str]]:
        return [("volume", self.volume), ("image", self.image)]

    def _run(self, mode: str, *words: str) -> str:
        script = Path(hub_cache.__file__)
        # The files are root's, as the one-shot `model` has written them.
        said = _docker(
            "run", "--rm", "--network", "none", "--user", "0:0", "--cap-drop", "ALL", "--entrypoint", "python3",
            "--volume", f"{self.volume}:/models{mode}", "--volume", f"{script}:/hub_cache.py:ro",
            self.image, "/hub_cache.py", "/models/hf/hub", *words,
        )  # fmt: skip
        if said is None:
            raise HostError(f"{self.where}: a container cannot read it; see `docker logs`, or restart Docker")
        return said


def _docker(*words: str) -> str | None:
    """What `docker` says; None when it fails."""
    try:
        answer = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout if answer.returncode == 0 else None
