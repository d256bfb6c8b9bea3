"""What the command line says, looked at by tests."""

from __future__ import annotations

import subprocess

GOOD = "description: mine\nmodel: tiny\nhardware: {cpu: {kv_cache_gib: 1}}\n"


def one_line(run: subprocess.CompletedProcess[str], code: int) -> str:
    assert run.returncode == code, run.stderr
    assert "Traceback" not in run.stderr + run.stdout
    (line,) = run.stderr.splitlines()
    assert line.startswith("fullbatch: ")
    return line.removeprefix("fullbatch: ")
