"""Debian packages: installed on this host, or unpacked from another suite without installing them.

Unpacking goes through the host's own apt (its mirror, its proxy, its keys) with a private state folder:
the system's package lists stay as they are.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from scripts.offline.process import OfflineError, output

_INSTALL = Path(__file__).parents[1] / "apt-install"
# Another apt, such as Ubuntu's unattended upgrades, is waited for.
_WAITING = ("-q", "-o", "DPkg::Lock::Timeout=120")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def is_root() -> bool:
    return os.geteuid() == 0


def has_apt() -> bool:
    return all(shutil.which(program) for program in ("apt-get", "dpkg"))


def distribution() -> str:
    """`debian`, `ubuntu`, … as /etc/os-release says."""
    release = Path("/etc/os-release")
    lines = release.read_text().splitlines() if release.exists() else []
    return next((line[3:].strip('"') for line in lines if line.startswith("ID=")), "unknown")


def mirror() -> str:
    """FULLBATCH_DEBIAN_MIRROR, or the mirror that this host's apt uses; raises OfflineError when it knows none."""
    if chosen := os.environ.get("FULLBATCH_DEBIAN_MIRROR"):
        return chosen
    targets = output(["apt-get", "indextargets", "--format", "$(COMPONENT) $(ORIGIN) $(REPO_URI)"]).splitlines()
    mains = [line for line in targets if line.startswith("main ") and "security" not in line]
    # ORIGIN is empty until the host's own lists were fetched once: then any `main` will do.
    for prefix in ("main Debian ", "main "):
        for line in mains:
            if line.startswith(prefix):
                return line.rsplit(" ", 1)[-1]
    raise OfflineError("apt: it knows no Debian mirror; set FULLBATCH_DEBIAN_MIRROR to the address of one")


def install(packages: Sequence[str], log: Path) -> None:
    """Installs packages of the host's own release; none of ours starts a service."""
    output([str(_INSTALL), *packages], log=log)


def unpack(packages: Sequence[str], suite: str | None, into: Path) -> list[str]:
    """Downloads packages of `suite` (None: the host's own release) and lays their files under `into`.

    Returns the packages' file names, which hold their versions.
    """
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=into.parent) as folder:
        env = {**os.environ, **(_private_state(Path(folder), suite) if suite else {})}
        output(["apt-get", "update", *_WAITING], env=env)
        archives = Path(folder) / "packages"
        archives.mkdir()
        output(["apt-get", "download", *_WAITING, *packages], env=env, cwd=archives)
        found = sorted(archives.glob("*.deb"))
        for package in found:
            output(["dpkg", "-x", str(package), str(into)])
        return [package.name for package in found]


def _private_state(folder: Path, suite: str) -> dict[str, str]:
    if not KEYRING.exists():
        raise OfflineError(f"{KEYRING}: not found; install the package debian-archive-keyring")
    for name in ("lists/partial", "archives/partial", "none"):
        (folder / name).mkdir(parents=True)
    (folder / "status").touch()
    (folder / "sources.list").write_text(f"deb [signed-by={KEYRING}] {mirror()} {suite} main\n")
    settings = {
        "Dir::Etc::SourceList": folder / "sources.list",
        "Dir::Etc::SourceParts": folder / "none",
        "Dir::Etc::PreferencesParts": folder / "none",
        "Dir::State": folder,
        "Dir::State::Lists": folder / "lists",
        "Dir::State::Status": folder / "status",
        "Dir::Cache": folder,
        "Dir::Cache::Archives": folder / "archives",
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
    }
    config = folder / "apt.conf"
    config.write_text("".join(f'{key} "{value}";\n' for key, value in settings.items()))
    return {"APT_CONFIG": str(config)}
