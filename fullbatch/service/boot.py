"""What starts at boot: installed, taken away, looked at."""

from __future__ import annotations

import os
import pwd
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from fullbatch.core.check_result import CheckResult, ok, warn
from fullbatch.core.errors import HostError, StateError, UsageError
from fullbatch.planning.plan import Plan
from fullbatch.runtime.base import Runtime
from fullbatch.service import systemd
from fullbatch.service.systemd import Systemd
from fullbatch.service.unit import ServiceUnit

_INSTALL = "fullbatch service install"


@dataclass(frozen=True)
class InstalledUnit:
    """One of this checkout. `stale`: it would be written otherwise today."""

    name: str
    path: Path
    enabled: str
    active: str
    stale: bool


def unit_of(root: Path, plan: Plan, *, user: bool) -> ServiceUnit:
    """What starts `plan` as processes; run by who owns the checkout."""
    for text in (str(root), plan.name):
        if not text.isprintable():
            raise UsageError(f"{text!r}: a unit cannot name it; move the checkout")
    vllm = shutil.which("vllm")
    owner = pwd.getpwuid(root.stat().st_uid).pw_name
    programs = str(Path(vllm).parent) if vllm and plan.engines[0].gpus else ""
    return ServiceUnit(root, plan.name, sys.executable, user, owner, programs, plan.drain_seconds)


def install(unit: ServiceUnit, manager: Systemd) -> Path:
    """Write and enable it; what runs now is left alone. HostError where there is no systemd."""
    problem = manager.problem()
    if problem:
        raise HostError(problem)
    path = manager.folder / unit.name
    try:
        manager.folder.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_text(unit.text(), encoding="utf-8")
        part.replace(path)
    except PermissionError:
        raise HostError(f"{manager.folder}: only root can write there; use sudo, or --user") from None
    manager.call("daemon-reload")
    manager.call("enable", unit.name)
    return path


def uninstall(root: Path, profile: str | None, manager: Systemd) -> list[str]:
    """Stop and remove the units of this checkout, or of `profile` alone; their names."""
    found = [one for one in installed(root, None, manager) if profile in (None, _profile(one.name))]
    if not found:
        raise StateError("service uninstall: nothing of this checkout is installed")
    for one in found:
        manager.call("disable", "--now", one.name)
        one.path.unlink()
    manager.call("daemon-reload")
    return [one.name for one in found]


def installed(root: Path, plan: Plan | None, manager: Systemd) -> list[InstalledUnit]:
    """Units of this checkout. `plan`: whose unit is compared with what would be written today."""
    mark = ServiceUnit(root, "x", "", manager.user).name.rpartition("-")[2]
    found = []
    for path in sorted(manager.folder.glob(f"fullbatch-*-{mark}")):
        current = unit_of(root, plan, user=manager.user) if plan and plan.name == _profile(path.name) else None
        stale = current is not None and path.read_text(encoding="utf-8") != current.text()
        enabled, active = manager.say("is-enabled", path.name), manager.say("is-active", path.name)
        found.append(InstalledUnit(path.name, path, enabled or "unknown", active or "unknown", stale))
    return found


def verdict(root: Path, plan: Plan, runtime: Runtime) -> CheckResult:
    """Whether `plan` comes back after a boot."""
    own = runtime.starts_at_boot(root)
    if own is not None:
        return own
    for user in (False, True):
        manager = systemd.of(user)
        for one in installed(root, plan, manager):
            if _profile(one.name) == plan.name:
                return _judged(one, user)
    return ok("boot", f"starts when somebody types `fullbatch up`; at boot: {_INSTALL} {plan.name}")


def default_user() -> bool:
    """Root's is the machine's."""
    return os.geteuid() != 0


def _judged(one: InstalledUnit, user: bool) -> CheckResult:
    again = f"{_INSTALL} {_profile(one.name)} {'--user' if user else '--system'}"
    if one.stale:
        return warn("boot", f"{one.path} is of another version, profile or Python", again)
    if one.enabled != "enabled":
        return warn("boot", f"{one.name} is {one.enabled}", again)
    return ok("boot", f"{one.name} is enabled and {one.active}")


def _profile(name: str) -> str:
    return name.removeprefix("fullbatch-").rpartition("-")[0]
