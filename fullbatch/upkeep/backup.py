"""Takes a backup of a checkout and what it serves, and puts one back."""

from __future__ import annotations

import dataclasses
import datetime
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from common.version import VERSION
from fullbatch.core import host
from fullbatch.core.errors import HostError, StateError, UsageError
from fullbatch.runtime import registry, state_files
from fullbatch.runtime.base import Say
from fullbatch.runtime.upgradable import Images, Upgradable
from fullbatch.upkeep import archive, journal, kept
from fullbatch.upkeep.archive import FILES, STATE, Backup, Manifest

# What a person has written or may have changed, and what was made of it. Code comes from git: the manifest says which.
_PATTERNS = (".env", "compose.override.yaml", "profiles/*.yaml", "rendered/**/*.yaml", "prometheus/alertmanager.yaml")
# For a person, and for another machine: `docker compose --env-file .env --env-file images.env up` starts these images.
_IMAGES = f"{archive.LOCK}images.env"
# Beside what is written: the disk is not to be full because of us.
_ROOM_BYTES = 64 << 20


@dataclass(frozen=True)
class About:
    """What of the manifest only the caller knows; `running`: what runs, where it can be put under other images."""

    why: str
    profile: str = ""
    runtime: str = ""
    running: Upgradable | None = None


def take(root: Path, path: Path, about: About) -> Backup:
    """Write a backup to `path`. Nothing is stopped for it.

    Raises:
        HostError: something cannot be read, or the file cannot be written.
    """
    images = about.running.images() if about.running else {}
    contents = {FILES + name: content for name, content in _files(root).items()}
    for runtime in registry.RUNTIMES:
        state = runtime.kept_state(root)
        contents |= {f"{STATE}{runtime.name}/{name}": content for name, content in state.items()}
    if images:
        contents[_IMAGES] = _lock(images)
    need, free = sum(map(len, contents.values())) + _ROOM_BYTES, shutil.disk_usage(path.parent).free
    if free < need:
        raise HostError(f"{path.parent}: has {free >> 20} MiB free, and a backup needs up to {need >> 20}; make room")
    manifest = Manifest(
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        why=about.why,
        version=VERSION,
        commit=_commit(root),
        profile=about.profile,
        runtime=about.runtime,
        images={name: dataclasses.asdict(one) for name, one in images.items()},
        services=about.running.services() if about.running else {},
    )
    archive.write(path, manifest, contents)
    return Backup(path, manifest, contents)


def command(root: Path, file: Path | None) -> Backup:
    """`fullbatch backup [FILE]`. Without a name it is one of the three that are kept here."""
    if file is not None and file.exists():
        raise UsageError(f"{file}: is there already; give another name, or remove it")
    if file is not None and not file.parent.is_dir():
        raise UsageError(f"{file.parent}: is no folder; make it first")
    running = next(registry.running(root), None)
    about = About("asked for", running.profile if running else "", running.runtime if running else "")
    made = take(root, file or kept.new(root), about)
    drop_surplus(root)
    return made


def restore(root: Path, file: Path, say: Say) -> Backup:
    """Put a backup back; nothing may run. What is here now is kept as a backup of its own first.

    Raises:
        UsageError: the file is no whole backup, or its store is newer than the gateway here; nothing was changed.
        StateError: something runs.
        HostError: a runtime cannot take its part.
    """
    found = archive.read(file)
    running = next(registry.running(root), None)
    if running:
        raise StateError(f"profile '{running.profile}' is running; first: fullbatch down {running.profile}")
    refuse_newer(root, found)
    before = take(root, kept.new(root), About(f"before {file.name} was restored"))
    say(f"what is here now is kept in {before.path}")
    journal.write(root, journal.JournalEntry("restore", "change", str(file.resolve())))
    put_back(root, found)
    journal.clear(root)
    drop_surplus(root)
    return found


def drop_surplus(root: Path) -> None:
    """All but the last three that are kept here, with the images that were kept for them."""
    for old in kept.surplus(root):
        for runtime in registry.RUNTIMES:
            runtime.forget_images(root, kept.stamp(old))
        old.unlink()


def refuse_newer(root: Path, found: Backup) -> None:
    """UsageError when a store of the backup is of a later version than the gateway that would open it knows."""
    for name, version in found.stores().items():
        runtime = name.partition("/")[0]
        known = registry.of(runtime).store_version(root)
        if known is not None and version > known:
            raise UsageError(
                f"{found.path}: {name} is a key store of version {version}, and the gateway here knows {known}; "
                "update Fullbatch first, or take an older backup"
            )


def put_back(root: Path, found: Backup, *, state: bool = True) -> None:
    """Files of the checkout, and keys, usage and secrets where asked. As often as one likes: it ends the same."""
    for name, content in found.files().items():
        write(root / name, content)
    for runtime in registry.RUNTIMES if state else ():
        prefix = f"{runtime.name}/"
        mine = {name.removeprefix(prefix): one for name, one in found.state().items() if name.startswith(prefix)}
        if mine:
            runtime.put_state(root, mine)


def without_server(found: Backup) -> str | None:
    """What a backup has not, as it is in a PostgreSQL, in one line; None where nothing is."""
    names = [name for name in found.state() if name.endswith(f"/{state_files.SERVER}")]
    if not names:
        return None
    return "usage is in PostgreSQL and not in it, of the keys it has a copy; back PostgreSQL up with pg_dump"


def without_docker() -> str | None:
    """Why a backup may lack what containers keep, in one line; None when it does not."""
    problem = host.docker().problem
    if problem is None or "not installed" in problem:
        return None
    return f"keys and usage of containers are not in it: {problem.partition(', or use')[0]}"


def _lock(images: Images) -> bytes:
    return "".join(f"{name}={one.digest or one.id}\n" for name, one in images.items()).encode()


def _files(root: Path) -> dict[str, bytes]:
    paths = (path for pattern in _PATTERNS for path in sorted(root.glob(pattern)))
    return {str(path.relative_to(root)): path.read_bytes() for path in paths if path.is_file()}


def write(path: Path, content: bytes) -> None:
    """In one step, with the mode of what was there; what is new is its owner's."""
    if path.is_file() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = path.stat().st_mode & 0o777 if path.exists() else (0o600 if path.name == ".env" else 0o644)
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.chmod(mode)
    part.replace(path)


def _commit(root: Path) -> str:
    """Of the checkout; empty where there is no git."""
    try:
        answer = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""
