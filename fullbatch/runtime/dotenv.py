"""`.env` beside compose.yaml, which Compose reads by itself: what a bare `docker compose …` means in this checkout."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from fullbatch.core.errors import UsageError

DEFAULT_PROFILE, DEFAULT_GATEWAY_PORT = "cpu-smollm2", 8080
_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=(.*)")


def path(root: Path) -> Path:
    return root / ".env"


def read(root: Path) -> dict[str, str]:
    """Its variables; empty without a file. Quotes and comments as Compose takes them away, nothing is put in."""
    try:
        lines = path(root).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    return {match[1]: _value(match[2].strip()) for line in lines if (match := _LINE.match(line))}


def value(root: Path, name: str) -> str:
    """A variable as Compose sees it: the shell's before that of the file; empty when it is in neither."""
    return os.environ.get(name) or read(root).get(name, "")


def profile(root: Path) -> str:
    """The profile that a bare `docker compose up` starts."""
    return value(root, "PROFILE") or DEFAULT_PROFILE


def project(root: Path) -> str:
    """The name of the Compose project: `name:` of compose.yaml, unless Compose's own variable says otherwise."""
    return value(root, "COMPOSE_PROJECT_NAME") or "fullbatch"


def gateway_port(root: Path) -> int:
    """The port that the gateway gets where no option says one; UsageError for what is no port."""
    said = value(root, "GATEWAY_PORT") or str(DEFAULT_GATEWAY_PORT)
    if not said.isdecimal() or not 1 <= int(said) <= 65535:
        raise UsageError(f"GATEWAY_PORT: '{said}': write a port from 1 to 65535")
    return int(said)


def keep(root: Path, values: Mapping[str, str]) -> bool:
    """Set these variables in the file and leave every other line as it is; whether that changed anything."""
    known = read(root)
    if all(known.get(name) == text for name, text in values.items()):
        return False
    try:
        lines = path(root).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        lines = []
    kept = [line for line in lines if not ((match := _LINE.match(line)) and match[1] in values)]
    text = "\n".join([*kept, *(f"{name}={text}" for name, text in values.items())]) + "\n"
    # In one step: half of it would be another stack. Whoever wrote secrets in there has set the mode; it stays.
    part = path(root).with_name(".env.part")
    part.unlink(missing_ok=True)
    part.touch(mode=0o600)
    part.write_text(text, "utf-8")
    part.chmod(path(root).stat().st_mode & 0o777 if path(root).exists() else 0o644)
    part.replace(path(root))
    return True


def _value(text: str) -> str:
    if text[:1] in ("'", '"'):
        return text[1:].partition(text[0])[0]
    return re.split(r"\s#", text, maxsplit=1)[0].strip()
