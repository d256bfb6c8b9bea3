"""Keys, usage and secrets of a gateway, as a tar: read out of their folders and put back.

Stand-alone: the process runtime imports it, and a container runs its text with the gateway's own Python, since on the
host the volumes belong to root. `save FOLDER` writes a tar of what is in the folders below FOLDER to standard output;
`load FOLDER` reads one from standard input.
"""

from __future__ import annotations

import contextlib
import io
import os
import sqlite3
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

STORE = "store"
# Made at the first start, or written by the gateway. `store-wal` and the like are part of the store's copy.
SECRETS = ("api_keys", "admin_password", "session_secret")
# Where keys and usage of several gateways are (gateway/keys/server_file.py), and who signs its certificate.
SERVER, SERVER_CA = "store.postgres", "store.postgres-ca.pem"
# Then the store has copies of keys, and usage on its way there: put back later, it would be counted twice.
ON_ITS_WAY = ("usage", "leaving", "last_used")
# Of the house's own certificates: other machines have learned this root.
CERTIFICATES = "caddy/pki/authorities/local/*"
UNWRITTEN = "store.unwritten-*.json"
# While a gateway goes on writing.
BUSY_SECONDS = 30.0


def read(folder: Path) -> dict[str, bytes]:
    """What is kept of one folder: name -> content. The store as of one moment, also while it is written to.

    OSError, or sqlite3.Error, when it cannot be read.
    """
    names = (*SECRETS, SERVER, SERVER_CA)
    found = {name: (folder / name).read_bytes() for name in names if (folder / name).is_file()}
    patterns = (CERTIFICATES,) if SERVER in found else (UNWRITTEN, CERTIFICATES)
    others = [path for pattern in patterns for path in sorted(folder.glob(pattern))]
    found |= {str(path.relative_to(folder)): path.read_bytes() for path in others}
    if (folder / STORE).is_file():
        found[STORE] = _copy(folder / STORE, ON_ITS_WAY if SERVER in found else ())
    return found


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Put them back; each file is whole or as it was. No gateway may have the store open."""
    for name, content in files.items():
        is_secret = name in SECRETS
        if name == STORE:
            for beside in ("store-wal", "store-shm"):  # of the store that goes: they would be played into this one
                (folder / beside).unlink(missing_ok=True)
            if SERVER not in files:  # the keys and usage of that time were here
                (folder / SERVER).unlink(missing_ok=True)
        part = folder / f"{name}.part"
        part.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part.unlink(missing_ok=True)
        # Secrets in a volume are read by group 0; in a folder of the process runtime nobody else can enter.
        with os.fdopen(
            os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640 if is_secret else 0o600), "wb"
        ) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(folder / name)


def _copy(path: Path, without: tuple[str, ...]) -> bytes:
    """By SQLite's own backup: what stands in `store-wal` only is in it. Tables ``without`` their rows."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / STORE
        with contextlib.closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as source:
            with contextlib.closing(sqlite3.connect(copy)) as target:
                source.backup(target)
                target.execute("PRAGMA journal_mode = DELETE")  # one file, without others beside it
                for name in without:
                    target.execute(f"DELETE FROM {name}")
                target.commit()
        return copy.read_bytes()


def packed(files: Mapping[str, bytes]) -> bytes:
    """A tar of these: FOLDER/NAME -> content."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def unpacked(data: bytes) -> dict[str, bytes]:
    """What `packed` made."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {one.name: file.read() for one in tar.getmembers() if (file := tar.extractfile(one))}


def main(words: list[str]) -> None:
    verb, top = words[0], Path(words[1])
    folders = [path for path in sorted(top.iterdir()) if path.is_dir()]
    if verb == "save":
        files = {f"{one.name}/{name}": content for one in folders for name, content in read(one).items()}
        sys.stdout.buffer.write(packed(files))
        return
    given = unpacked(sys.stdin.buffer.read())
    for one in folders:
        prefix = f"{one.name}/"
        mine = {name.removeprefix(prefix): content for name, content in given.items() if name.startswith(prefix)}
        write(one, mine)


if __name__ == "__main__":
    main(sys.argv[1:])
