"""Starts a gateway on a copy of the keys, in a container of the new image that nothing else can reach.

Stand-alone: that container's Python runs its text. Arguments: the folders of store, keys and gateway.yaml; standard
input: a tar of `store`, `api_keys` and `gateway.yaml`. One line on standard error says why it is no good.
"""

from __future__ import annotations

import contextlib
import io
import sqlite3
import subprocess
import sys
import tarfile
import time
from pathlib import Path

START_SECONDS = 60.0
STORE, KEYS, SETTINGS = "store", "api_keys", "gateway.yaml"


def names(store: Path) -> list[str]:
    """Every key's name and digest, so that nothing is missing or changed afterwards."""
    if not store.exists():
        return []
    with contextlib.closing(sqlite3.connect(store)) as connection:
        return sorted(f"{name} {digest.hex()}" for name, digest in connection.execute("SELECT name, digest FROM keys"))


def main(words: list[str]) -> int:
    folders = dict(zip((STORE, KEYS, SETTINGS), map(Path, words), strict=True))
    with tarfile.open(fileobj=io.BytesIO(sys.stdin.buffer.read())) as tar:
        for one in tar:
            file = tar.extractfile(one)
            if one.name in folders and file:
                (folders[one.name] / one.name).write_bytes(file.read())
    before = names(folders[STORE] / STORE)
    problem = _started([sys.executable, "-m", "gateway", "--config", str(folders[SETTINGS] / SETTINGS)])
    if problem is None and names(folders[STORE] / STORE) != before:
        problem = "it starts, and keys are missing from the store or changed"
    if problem:
        sys.stderr.write(problem + "\n")
    return 1 if problem else 0


def _started(command: list[str]) -> str | None:
    """Why not, in one line."""
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as gateway:
        try:
            end = time.monotonic() + START_SECONDS
            while gateway.poll() is None and time.monotonic() < end:
                if (
                    subprocess.run([sys.executable, "-m", "gateway.probe"], capture_output=True, check=False).returncode
                    == 0
                ):
                    return None
                time.sleep(0.2)
        finally:
            gateway.terminate()
            try:
                said = gateway.communicate(timeout=10)[1]
            except subprocess.TimeoutExpired:
                gateway.kill()
                said = gateway.communicate()[1]
    last = next((line for line in reversed(said.splitlines()) if line.strip()), "it says nothing")
    if gateway.returncode in (0, -15):  # ended by us
        return f"it does not answer within {START_SECONDS:.0f} s: {last[:300]}"
    return f"it ends at once with exit code {gateway.returncode}: {last[:300]}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
