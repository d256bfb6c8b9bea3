"""The text of a systemd unit. Pure."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

# What a program finds on a machine whose shell says nothing; before it comes the folder of `vllm`.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Beyond what the engines may take to end: the gateway's own drain, and killing.
STOP_MARGIN_SECONDS = 60
_PLAIN = re.compile(r"[A-Za-z0-9_@:./+=,-]+")


@dataclass(frozen=True)
class ServiceUnit:
    """`user`: of one person's own systemd; else of the machine's, run as `account`. `programs`: the engine's folder."""

    root: Path
    profile: str
    python: str
    user: bool
    account: str = ""
    programs: str = ""
    drain_seconds: int = 30

    @property
    def name(self) -> str:
        """Two clones on one machine have two names."""
        mark = hashlib.sha256(str(self.root).encode()).hexdigest()[:6]
        return f"fullbatch-{self.profile}-{mark}.service"

    def text(self) -> str:
        """It stays in front of its processes: one that dies ends it, and systemd starts all again."""
        start = [self.python, "-m", "fullbatch", "up", self.profile, "--runtime", "process", "--foreground"]
        if not _PLAIN.fullmatch(self.python):  # systemd takes no such name for the program itself
            start = ["/usr/bin/env", *start]
        path = f"{self.programs}:{PATH}" if self.programs else PATH
        network = [] if self.user else ["Wants=network-online.target", "After=network-online.target"]
        lines = [
            "# Written by `fullbatch service install`; `fullbatch service uninstall` removes it.",
            "[Unit]",
            f"Description=Fullbatch: profile {self.profile}",
            f"RequiresMountsFor={quoted(str(self.root))}",
            *network,
            # A model that cannot start is tried ten times in an hour, and then left for a person.
            "StartLimitIntervalSec=3600",
            "StartLimitBurst=10",
            "",
            "[Service]",
            "Type=exec",
            f"WorkingDirectory={_percent(str(self.root))}",
            f"Environment={quoted(f'PATH={path}')}",
            f"EnvironmentFile=-{_percent(str(self.root))}/.env",
            f"ExecStart={' '.join(quoted(word, command=True) for word in start)}",
            # It tells its processes itself, gateway first; what is left after that is killed.
            "KillMode=mixed",
            f"TimeoutStopSec={self.drain_seconds + STOP_MARGIN_SECONDS}",
            "SuccessExitStatus=130",
            "Restart=on-failure",
            "RestartSec=10",
            "NoNewPrivileges=yes",
            "UMask=0077",
            "LimitNOFILE=65536",
            *([f"User={self.account}"] if self.account and not self.user else []),
            "",
            "[Install]",
            f"WantedBy={'default.target' if self.user else 'multi-user.target'}",
        ]
        return "\n".join(lines) + "\n"


def quoted(word: str, *, command: bool = False) -> str:
    """As systemd.syntax(7) reads it: `%` begins a specifier, in a command `$` a variable."""
    text = _percent(word).replace("\\", "\\\\").replace('"', '\\"')
    text = text.replace("$", "$$") if command else text
    return text if _PLAIN.fullmatch(text) else f'"{text}"'


def _percent(text: str) -> str:
    return text.replace("%", "%%")
