"""The scripts as a person starts them, and programs that stand in for Docker's."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.e2e.docker_stack import ROOT


def script(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "scripts" / name, *arguments], text=True, capture_output=True, check=False, timeout=60
    )


def fake_docker(folder: Path, *, info: str, compose: str = "5.6.1", buildx: str = "v0.29.1") -> dict[str, str]:
    """A `docker` that answers the three questions; an empty answer is a failure."""
    program = folder / "docker"
    cases = "\n".join(
        f"  {word}) {f'echo {answer}' if answer else 'echo cannot connect >&2; exit 1'};;"
        for word, answer in (("info", info), ("compose", compose), ("buildx", buildx))
    )
    program.write_text(f"#!/bin/sh\ncase $1 in\n{cases}\nesac\n")
    program.chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}
