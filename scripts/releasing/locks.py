"""What a lock of requirements/ pins, as it is installed in an image."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import Marker

# Of the images: gateway/Dockerfile and loadtest/Dockerfile. Either processor; what is for one of them is in both lists.
_IMAGE = {
    "implementation_name": "cpython",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "os_name": "posix",
    "python_full_version": "3.11.9",
    "python_version": "3.11",
    "sys_platform": "linux",
}
_PIN = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*)(\[[^]]*\])?==(?P<version>[^\s;]+)\s*(;(?P<marker>[^\\]*))?")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


class BrokenLock(Exception):
    """A file and line that pins nothing."""


@dataclass(frozen=True)
class Pin:
    """One package; `hashes`: SHA-256 of each of its files that may be installed."""

    name: str
    version: str
    hashes: tuple[str, ...]


def read(path: Path) -> list[Pin]:
    """The pins that an image installs, by name.

    Raises:
        BrokenLock
    """
    found = []
    entries = re.sub(r"\\\n\s*", " ", path.read_text(encoding="utf-8")).splitlines()
    for number, entry in enumerate(entries, 1):
        if not entry.strip() or entry.lstrip().startswith("#"):
            continue
        match, hashes = _PIN.match(entry), tuple(_HASH.findall(entry))
        if match is None or not hashes:
            raise BrokenLock(f"{path}: entry {number} is no package with version and hashes; run scripts/lock")
        marker = (match["marker"] or "").partition("--hash")[0].strip()
        if not marker or Marker(marker).evaluate(_IMAGE):
            found.append(Pin(match["name"], match["version"], hashes))
    return sorted(found, key=lambda pin: pin.name)
