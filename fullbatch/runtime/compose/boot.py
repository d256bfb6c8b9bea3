"""Whether containers come back after a boot: Docker's own restart policy, and whether Docker itself starts."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from fullbatch.core.check_result import CheckResult, ok, warn
from fullbatch.runtime.compose import deployment

_COMES_BACK = ("always", "unless-stopped")
_TIMEOUT = 20.0


def verdict(unit: str, not_restarted: Sequence[str]) -> CheckResult:
    """Whether containers come back after a boot. `unit`: what systemd says of Docker; empty where it says nothing."""
    if not_restarted:
        names = ", ".join(not_restarted)
        return warn("boot", f"Docker does not start again: {names}", "take `restart:` out of compose.override.yaml")
    if unit == "disabled":
        return warn("boot", "Docker does not start at boot", "sudo systemctl enable docker")
    known = "which starts at boot" if unit.startswith("enabled") else "if that starts at boot (not known here)"
    return ok("boot", f"containers are started again by Docker, {known}; `fullbatch down` ends that")


def unit_state() -> str:
    """`enabled`, `disabled` and the like; empty without systemd."""
    try:
        answer = subprocess.run(
            ["systemctl", "is-enabled", "docker"], capture_output=True, text=True, timeout=_TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip()


def not_restarted() -> list[str]:
    """Names of running containers that Docker would leave as they are after a restart of its own."""
    found = [one for one in deployment.containers() if one.status == "running"]
    return [str(one.name) for one in found if one.attrs["HostConfig"]["RestartPolicy"]["Name"] not in _COMES_BACK]
