"""Which variable names the image of which service, read from the Compose files themselves."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fullbatch.runtime import dotenv

GATEWAY_IMAGE, GATEWAY_DEFAULT = "FULLBATCH_GATEWAY_IMAGE", "fullbatch/gateway:local"
ENGINE_IMAGE = "FULLBATCH_ENGINE_IMAGE"
_REFERENCE = re.compile(r"\$\{(\w+):-([^}]+)\}")


@dataclass(frozen=True)
class ImageSetting:
    """`variable` holds the image of `services`, `default` without it; `built`: from this checkout."""

    variable: str
    default: str
    services: tuple[str, ...]
    built: bool

    def reference(self, root: Path) -> str:
        """What the next `docker compose up` takes."""
        return dotenv.value(root, self.variable) or self.default

    @property
    def name(self) -> str:
        """What `--image` calls it: its first service, `engine` for all copies of the engine."""
        return self.services[0]


def gateway(root: Path) -> str:
    """The gateway's image that the next `docker compose up` takes."""
    return dotenv.value(root, GATEWAY_IMAGE) or GATEWAY_DEFAULT


def settings(root: Path, profile: str) -> list[ImageSetting]:
    """Of compose.yaml and the rendered file of `profile`."""
    services: dict[str, dict[str, Any]] = {}
    for path in (root / "compose.yaml", root / "rendered" / profile / "compose.yaml"):
        services |= yaml.safe_load(path.read_text(encoding="utf-8"))["services"]
    found: dict[str, ImageSetting] = {}
    # The service that builds an image is who it is called after.
    for name, said in sorted(services.items(), key=lambda one: ("build" not in one[1], _rank(one[0]))):
        match = _REFERENCE.fullmatch(said.get("image", ""))
        if match:
            known = found.get(match[1])
            others = known.services if known else ()
            built = "build" in said or bool(known and known.built)
            found[match[1]] = ImageSetting(match[1], match[2], (*others, name), built)
    return list(found.values())


def _rank(service: str) -> tuple[bool, str]:
    return service == "model", service  # it has the engine's image
