"""What dockerd leaves of networks when it ends: its bridge docker0, and those of networks that are still defined. Taken
away again, unless they were there before, or something is attached to them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from scripts.offline.process import OfflineError, Say, output

INTERFACES = Path("/sys/class/net")
_DOCKERS = re.compile(r"docker0|br-[0-9a-f]{12}")


def remember(folder: Path, interfaces: Path = INTERFACES) -> None:
    """Keeps which bridges there are, for `remove`."""
    folder.mkdir(parents=True, exist_ok=True)
    _kept(folder).write_text("".join(f"{name}\n" for name in _bridges(interfaces)))


def remove(folder: Path, env: Mapping[str, str], say: Say, interfaces: Path = INTERFACES) -> None:
    """Takes away the bridges that have come since, once. ``env``: with a PATH to `ip`."""
    if not _kept(folder).exists():
        return
    before = set(_kept(folder).read_text().splitlines())
    for name in _bridges(interfaces):
        if name in before or any((interfaces / name / "brif").iterdir()):
            continue
        try:
            output(["ip", "link", "delete", name, "type", "bridge"], env=env)
        except OfflineError as error:
            say(f"docker: its bridge {name} stays: {error}")
    _kept(folder).unlink()


def _bridges(interfaces: Path) -> list[str]:
    """Those with a name that dockerd gives."""
    found = interfaces.glob("*/brif")
    return sorted(path.parent.name for path in found if _DOCKERS.fullmatch(path.parent.name))


def _kept(folder: Path) -> Path:
    return folder / "bridges"
