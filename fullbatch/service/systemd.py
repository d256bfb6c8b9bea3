"""`systemctl`, of the machine or of one person."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from fullbatch.core.errors import HostError

_TIMEOUT = 120.0
# What `is-system-running` says where there is no systemd: a container, another init.
_NONE = ("offline", "unknown", "")


@dataclass(frozen=True)
class Systemd:
    """`folder`: where its units are written."""

    user: bool
    folder: Path

    def problem(self) -> str | None:
        """Why no unit can be installed, in one line; None when it can."""
        try:
            state = self._run("is-system-running").stdout.strip()
        except HostError:
            state = ""
        if state in _NONE:
            whose = "of yours runs here (no login session?)" if self.user else "runs here (a container?)"
            return f"no systemd {whose}; `fullbatch service install --dry-run` prints the unit"
        return None

    def call(self, *words: str) -> None:
        """HostError with its last line when it fails."""
        answer = self._run(*words)
        if answer.returncode:
            last = (answer.stderr.strip().splitlines() or [f"exit code {answer.returncode}"])[-1]
            raise HostError(f"systemctl {words[0]}: {last[:300]}")

    def say(self, *words: str) -> str:
        """What it answers, such as `enabled` or `active`; empty where it does not."""
        try:
            return self._run(*words).stdout.strip()
        except HostError:
            return ""

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = ["systemctl", *(["--user"] if self.user else []), *words]
        try:
            return subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise HostError(f"systemctl: no answer ({error})") from None


def of(user: bool) -> Systemd:
    """Of the machine, or of who asks."""
    return Systemd(user, Path.home() / ".config/systemd/user" if user else Path("/etc/systemd/system"))
