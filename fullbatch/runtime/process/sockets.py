"""Where the engines of the process runtime are asked: sockets in a folder that only its owner can enter.

On loopback any user of the machine could pass keys, limits and accounting by.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

# Linux takes 107 characters for a socket's path; vLLM names each of its own with a slash and 36
# (vllm/utils/network_utils.py), and ours have shorter names.
LONGEST_PATH, LONGEST_NAME = 107, 37


def make(run_folder: Path) -> Path:
    """A fresh folder for the sockets of one deployment: beside its logs, so that nothing is left in /tmp, or, where
    that path is too long, in the folder for temporary files."""
    folder = run_folder / "ipc"
    shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed
    if len(str(folder)) + LONGEST_NAME > LONGEST_PATH:
        return Path(tempfile.mkdtemp(prefix="fullbatch-"))
    folder.mkdir(mode=0o700)
    return folder


def address(folder: Path, service: str) -> str:
    """What gateway.yaml and our own commands call the socket of one engine."""
    return f"unix:{folder / f'{service}.sock'}"


def path_of(url: str) -> str | None:
    """The path of a socket's address; None for any other."""
    return url.removeprefix("unix:") if url.startswith("unix:") else None


def remove(folder: str) -> None:
    """What the engines have left there goes too: vLLM leaves some even when it ends in order."""
    if folder:
        shutil.rmtree(folder, ignore_errors=True)
