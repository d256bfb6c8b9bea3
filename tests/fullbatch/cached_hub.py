"""Writes a cache of Hugging Face's hub as its library does: blobs, and links to them."""

from __future__ import annotations

import os
from pathlib import Path


def add(hub: Path, name: str, revision: str, files: dict[str, bytes], branch: str | None = "main") -> Path:
    """One revision; files with the same content share a blob. The model's folder."""
    folder = hub / f"models--{name.replace('/', '--')}"
    snapshot = folder / "snapshots" / revision
    snapshot.mkdir(parents=True)
    (folder / "blobs").mkdir(exist_ok=True)
    for path, content in files.items():
        blob = folder / "blobs" / f"b{abs(hash(content)):x}"
        blob.write_bytes(content)
        (snapshot / path).symlink_to(os.path.relpath(blob, snapshot))
    if branch:
        (folder / "refs").mkdir(exist_ok=True)
        (folder / "refs" / branch).write_text(revision, encoding="utf-8")
    return folder
