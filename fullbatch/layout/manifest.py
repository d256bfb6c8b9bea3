"""What was laid out in a folder: `.fullbatch/laid-out.json`, which tells a person's changes from ours."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fullbatch.layout import place

# What a person edits: never overwritten once it is there.
_PERSONS_FOLDERS, _PERSONS_FILES = ("profiles/",), ("prometheus/alertmanager.yaml", ".env", "compose.override.yaml")
_GENERATED = ("profiles/schema.json",)


@dataclass(frozen=True)
class LaidOut:
    """By which version, and the SHA-256 of each file then."""

    version: str
    files: Mapping[str, str]


def read(folder: Path) -> LaidOut | None:
    """None where nothing was laid out, or nobody can tell what."""
    try:
        said = json.loads((folder / place.MANIFEST).read_text(encoding="utf-8"))
        return LaidOut(str(said["version"]), {str(name): str(digest) for name, digest in said["files"].items()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def write(folder: Path, laid: LaidOut) -> None:
    """In one step, for its owner."""
    path = folder / place.MANIFEST
    path.parent.mkdir(mode=0o700, exist_ok=True)
    text = json.dumps({"version": laid.version, "files": dict(sorted(laid.files.items()))}, indent=1) + "\n"
    put(path, text.encode())


def is_a_persons(name: str) -> bool:
    """Whether a person edits this file."""
    return (name.startswith(_PERSONS_FOLDERS) and name not in _GENERATED) or name in _PERSONS_FILES


def digest(path: Path) -> str:
    """SHA-256 of a file; empty where there is none."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def put(path: Path, content: bytes) -> None:
    """Write a file in one step. A program's file can be started."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(content)
    part.chmod(0o755 if content.startswith(b"#!") else 0o644)
    part.replace(path)
