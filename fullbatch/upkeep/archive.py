"""A backup's file: a compressed tar whose first member, the manifest, has the SHA-256 of every other."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import json
import os
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fullbatch.core.errors import HostError, UsageError

FORMAT = 1
MANIFEST = "manifest.json"
# Names in it: FILES + a path in the checkout, STATE + what a runtime calls it; LOCK: images, which nothing restores.
FILES, STATE, LOCK = "files/", "state/", "lock/"
# A key store says itself what it is (gateway/keys/schema.py): SQLite's header has both numbers, big-endian.
_STORE_ID, _ID_AT, _VERSION_AT = 0x46425354, 68, 60


@dataclass(frozen=True)
class Manifest:
    """What a backup is of. `commit`: of the checkout; `images` and `services`: what ran, see `runtime.upgradable`."""

    created: str
    why: str
    version: str
    commit: str = ""
    profile: str = ""
    runtime: str = ""
    images: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)
    services: Mapping[str, int] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class Backup:
    """One that was read whole and is as it was written."""

    path: Path
    manifest: Manifest
    contents: Mapping[str, bytes]

    def files(self) -> dict[str, bytes]:
        """Path in the checkout -> content."""
        return _below(self.contents, FILES)

    def state(self) -> dict[str, bytes]:
        """What the runtimes call it -> content."""
        return _below(self.contents, STATE)

    def stores(self) -> dict[str, int]:
        """Name of each key store -> the version of its tables."""
        found = {name: store_version(content) for name, content in self.state().items()}
        return {name: version for name, version in found.items() if version is not None}


def store_version(content: bytes) -> int | None:
    """The version of a key store's tables; None for what is no key store."""
    if int.from_bytes(content[_ID_AT : _ID_AT + 4], "big") != _STORE_ID:
        return None
    return int.from_bytes(content[_VERSION_AT : _VERSION_AT + 4], "big")


def write(path: Path, manifest: Manifest, contents: Mapping[str, bytes]) -> None:
    """Write it, readable by its owner only. Either it is there whole afterwards, or it is not there.

    Raises:
        HostError: it cannot be written, such as for want of room.
    """
    part = path.with_name(f"{path.name}.part")
    facts = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    said = {"format": FORMAT, **dataclasses.asdict(manifest), "sha256": facts}
    text = json.dumps(said, indent=2).encode()
    try:
        part.unlink(missing_ok=True)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            with tarfile.open(fileobj=file, mode="w:gz") as tar:
                for name, content in {MANIFEST: text, **contents}.items():
                    member = tarfile.TarInfo(name)
                    member.size, member.mode = len(content), 0o600
                    tar.addfile(member, io.BytesIO(content))
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise HostError(f"{path}: the backup cannot be written ({(error.strerror or str(error)).lower()})") from None


def read(path: Path) -> Backup:
    """Read it and check every byte.

    Raises:
        UsageError: it is no backup, of a later format, or not as it was written.
    """
    try:
        # To its last byte: a tar ends before its compressed file does.
        whole = gzip.decompress(path.read_bytes())
        with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
            found = {one.name: file.read() for one in tar if (file := tar.extractfile(one))}
        said = json.loads(found.pop(MANIFEST))
        facts = said.pop("sha256")
        if said.pop("format") > FORMAT:
            raise UsageError(f"{path}: was made by a later version of Fullbatch; update this one first")
        manifest = Manifest(**said)
    except OSError as error:
        if error.errno is not None:
            raise UsageError(f"{path}: cannot be read ({(error.strerror or str(error)).lower()})") from None
        raise _damaged(path) from None
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile):
        raise _damaged(path) from None
    except (KeyError, ValueError, TypeError, AttributeError):
        raise UsageError(f"{path}: is not a backup; `fullbatch backup` makes one") from None
    wrong = [name for name in facts if hashlib.sha256(found.get(name, b"")).hexdigest() != facts[name]]
    if wrong or set(found) != set(facts):
        raise _damaged(path)
    for name in found:
        _need_inside(path, name)
    return Backup(path, manifest, found)


def _damaged(path: Path) -> UsageError:
    return UsageError(f"{path}: is no whole backup (cut off or damaged); nothing was changed; take another one")


def _need_inside(path: Path, name: str) -> None:
    parts = PurePosixPath(name).parts
    if ".." in parts or name.startswith("/") or not name.startswith((FILES, STATE, LOCK)):
        raise UsageError(f"{path}: has a member '{name[:80]}', which no backup of ours has; nothing was changed")


def _below(contents: Mapping[str, bytes], prefix: str) -> dict[str, bytes]:
    return {name.removeprefix(prefix): content for name, content in contents.items() if name.startswith(prefix)}
