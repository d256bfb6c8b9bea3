"""Keys and usage of the gateways that run, or have run, as processes of this checkout."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from fullbatch.core.errors import HostError
from fullbatch.runtime import state_files
from fullbatch.runtime.process import state

# The gateway is a program of its own, which nothing here may import.
_VERSION = "from gateway.keys.schema import VERSION; print(VERSION)"


def read(root: Path) -> dict[str, bytes]:
    """PROFILE/NAME -> content."""
    found: dict[str, bytes] = {}
    for folder in sorted(state.run_dir(root, "x").parent.glob("*/")):
        try:
            found |= {f"{folder.name}/{name}": content for name, content in state_files.read(folder).items()}
        except sqlite3.Error as error:
            raise HostError(f"{folder / state_files.STORE}: cannot be read ({error})") from None
    return found


def write(root: Path, files: Mapping[str, bytes]) -> None:
    """What `read` gave, back in its place."""
    for profile in sorted({Path(name).parts[0] for name in files}):
        folder = state.run_dir(root, profile)
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        mine = {Path(name).name: content for name, content in files.items() if Path(name).parts[0] == profile}
        state_files.write(folder, mine)


def store_version(root: Path) -> int | None:
    """Of the gateway in this checkout."""
    answer = subprocess.run([sys.executable, "-c", _VERSION], cwd=root, capture_output=True, text=True, check=False)
    return int(answer.stdout) if answer.returncode == 0 else None
