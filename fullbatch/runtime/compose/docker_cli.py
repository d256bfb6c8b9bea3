"""`docker` as a program: what it says, or its last line as the reason why not."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from fullbatch.core.errors import HostError

TIMEOUT = 300.0


def call(words: Sequence[str], given: bytes = b"", timeout: float | None = TIMEOUT) -> bytes:
    """Its standard output. HostError with its last line where it fails."""
    return run(["docker", *words], Path("/"), None, given, timeout)


def run(
    command: Sequence[str],
    where: Path,
    environment: Mapping[str, str] | None,
    given: bytes = b"",
    timeout: float | None = TIMEOUT,
) -> bytes:
    """The same in a folder and an environment of one's own (None: ours)."""
    said = " ".join(command[:2])
    try:
        answer = subprocess.run(
            command, cwd=where, env=environment, input=given, capture_output=True, timeout=timeout, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HostError(f"{said}: no answer ({error}); look at `docker info`") from None
    if answer.returncode:
        lines = [line for line in answer.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
        raise HostError(f"{said}: {lines[-1].strip()[:300] if lines else f'exit code {answer.returncode}'}")
    return answer.stdout


def identity(reference: str) -> str | None:
    """The id of an image that is here; None where there is none of that name, or no Docker."""
    try:
        return call(["image", "inspect", "--format", "{{.Id}}", reference]).decode().strip()
    except HostError:
        return None


def digest(reference: str) -> str:
    """What a registry knows it by, `NAME@sha256:…`; empty for an image that was never in one."""
    template = "{{if .RepoDigests}}{{index .RepoDigests 0}}{{end}}"
    return call(["image", "inspect", "--format", template, reference]).decode().strip()
