"""The load test is a client like any other: it knows nothing of the gateway's or the control plane's code."""

from __future__ import annotations

import ast
import subprocess
import sys

from tests.loadtest.programs import ROOT


def test_it_imports_neither_gateway_nor_fullbatch() -> None:
    for path in (ROOT / "loadtest").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.split(".")[0] for name in names} & {"gateway", "fullbatch", "tests"}, path.name


def test_report_runs_unpatched_and_a_run_is_patched_before_all_else() -> None:
    program = (
        "import sys, runpy; sys.argv = ['loadtest', sys.argv[1], '--help']\n"
        "try: runpy.run_module('loadtest', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "import socket; print(socket.socket.__module__, 'ssl' in sys.modules)"
    )
    for command, expected in (("run", "gevent._socket3"), ("report", "socket")):
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", program, command],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.splitlines()[-1].startswith(expected), done.stdout
        assert done.stderr == ""
