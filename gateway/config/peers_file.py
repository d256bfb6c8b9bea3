"""STORE.peers.yaml: the other boxes that `fullbatch peers` has added, beside the key store, with keys and CAs.

PeersFault   the file is not usable; one line
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from common import yaml_file
from common.text_file import FileFault, Unreadable

SUFFIX = ".peers.yaml"
_HEAD = "# Written by `fullbatch peers`. It holds keys: for its owner only.\n"


class PeersFault(Exception):
    pass


def beside(store: Path) -> Path:
    """Where the file of a key store is."""
    return store.with_name(f"{store.name}{SUFFIX}")


def read(path: Path) -> list[dict[str, Any]]:
    """The engines of all peers, as gateway.yaml would have them; none where there is no file.

    Raises:
        PeersFault: it cannot be read, or is not what `write` writes.
    """
    try:
        content = yaml_file.load(path)
    except Unreadable as fault:
        if not path.exists():
            return []
        raise PeersFault(f"{path}: {fault}") from None
    except FileFault as fault:
        raise PeersFault(f"{path}: {fault}") from None
    engines = content.get("engines") if isinstance(content, dict) else None
    if not isinstance(engines, list) or not all(isinstance(engine, dict) for engine in engines):
        raise PeersFault(f"{path}: holds no list 'engines:'; remove the file and add the peers again")
    return engines


def write(path: Path, engines: list[dict[str, Any]]) -> None:
    """Replace the file, whole or not at all; readable by its owner only.

    Raises:
        OSError: it cannot be written.
    """
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(_HEAD + yaml.safe_dump({"engines": engines}, sort_keys=False, allow_unicode=True))
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
