"""What no file may contain: the address of a registry."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Written in pieces, so that this file does not hold what it looks for.
REGISTRIES = (
    *(f"{name}.{zone}" for name, zone in (("docker", "io"), ("ghcr", "io"), ("quay", "io"), ("gcr", "io"))),
    *(f"{name}.{zone}" for name, zone in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"))),
    *(f"{name}.{zone}" for name, zone in (("download.pytorch", "org"), ("registry.k8s", "io"), ("nvcr", "io"))),
    "registry" + ".npmjs",
)


def tracked() -> list[Path]:
    """What git tracks, and what it would track."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [Path(name) for name in sorted(set(listing.split("\0"))) if name and (ROOT / name).is_file()]


def test_no_file_names_a_registry() -> None:
    """Where packages and images come from is the machine's configuration, not ours."""
    # `docker.io` is also the name of Debian's package; a registry has a path after it or a scheme before.
    debian = re.compile(r"(?<![/.\w-])docker\.io(?![/\w:])")
    faults = []
    for path in tracked():
        try:
            text = debian.sub("", (ROOT / path).read_text(encoding="utf-8"))
        except UnicodeDecodeError:
            continue
        faults += [f"{path} names {host}" for host in REGISTRIES if host in text]
    assert faults == []
