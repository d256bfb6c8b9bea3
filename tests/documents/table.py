"""For each command of the pages, how it is tried. The first row whose pattern begins the command counts.

run      for real, in a fresh clone with a fresh home, by what `scripts/setup` has put there
parse    by the program's own parser: what it would refuse fails; placeholders get a value
covered  by another test, which has to exist
given    another program's, which this project does not bring: only that somebody has looked at it, with the reason
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Row:
    """``codes``: exit codes that are right; ``why``: a test's `path::name`, or a reason."""

    pattern: str
    how: str
    why: str = ""
    codes: frozenset[int] = field(default_factory=lambda: frozenset({0}))


E2E, RELEASE = "tests/e2e", "tests/scripts/releasing"
ROWS = (
    Row(r"scripts/setup$", "run"),
    Row(r"scripts/setup dev$", "covered", "tests/test_setup.py::test_a_copied_or_moved_checkout_is_set_up_anew"),
    Row(r"scripts/demo --help$", "run"),
    Row(r"scripts/demo\b", "covered", f"{E2E}/test_demo.py::test_the_demo_measures_reports_and_stops_everything"),
    Row(r"scripts/check$", "parse"),
    Row(r"scripts/(test|test-compiled)\b", "parse"),
    Row(r"scripts/(calibrate|compile-gateway|grafana-shots|record-metrics) ", "parse"),
    Row(r"scripts/install-engine$", "covered", f"{E2E}/served/test_engine.py::test_the_kv_cache_is_exactly_as_planned"),
    Row(r"scripts/docker-engine (start|stop|env)$", "covered", f"{E2E}/conftest.py::docker_environment"),
    Row(r"scripts/offline-images --list$", "run"),
    Row(r"scripts/offline-images\b", "covered", f"{E2E}/test_docker_stack.py::stack"),
    Row(r"scripts/llama-server (install|run)\b", "covered", f"{E2E}/test_compare.py::llama"),
    Row(r"scripts/release --test$", "covered", f"{RELEASE}/test_checks.py::test_tests_of_another_commit_do_not_count"),
    Row(r"scripts/release --make$", "covered", f"{RELEASE}/test_cli.py::test_make_tags_and_keeps_files"),
    Row(r"scripts/[a-z-]+$", "parse"),  # its name: such a script exists
    Row(r"fullbatch (plan|explain|profiles|render)\b", "run"),
    Row(r"fullbatch doctor\b", "run", codes=frozenset({0, 1})),  # 1: something of this very machine
    Row(r"fullbatch (status|top --once)$", "run", codes=frozenset({6})),  # 6: nothing is running
    Row(r"fullbatch models$", "run", codes=frozenset({6})),
    Row(r"fullbatch\b", "parse"),
    Row(r"python3? -m grafana$", "covered", "tests/grafana/test_main.py::test_written_files_pass_their_own_check"),
    Row(r"python3? -m ", "parse"),
    Row(r"pytest ", "parse"),
    Row(r"docker compose ", "parse"),
    Row(r"docker (save|load|run|volume|system|image|build|exec)\b", "given", "Docker's own"),
    Row(r"docker (stack|swarm|secret|node|service)\b", "given", "Docker's own"),
    Row(r"kubectl ", "given", "needs a cluster, and none can be had; docs/kubernetes.md says so"),
    Row(r"kustomize build", "covered", "tests/fullbatch/runtime/kubernetes/test_kustomize.py::build"),
    Row(r"helm ", "given", "another project's chart, looked at once"),
    Row(r"hostname -i$", "given", "the system's"),
    Row(r"(git clone|cd)\b", "run"),
    Row(r"git ", "given", "Git's own"),
    Row(r"eval INNER$", "covered", f"{E2E}/conftest.py::docker_environment"),
    Row(r"source \.venv/bin/activate$", "run"),
    Row(r"(export [A-Z_]+=|curl |sqlite3 |gunzip |gzip |du |nvidia-smi |tar )", "given", "the system's"),
    Row(r"(systemctl|sudo loginctl) ", "given", "systemd's"),
    Row(r"llm ", "covered", f"{E2E}/test_client_loops.py::test_llm"),
    Row(r"opencode ", "covered", f"{E2E}/test_client_loops.py::test_opencode"),
    Row(r"(aider|open-webui) ", "given", "tried by hand on 2026-11-30: they are too large for the tests"),
    Row(r"sudo apt-get install ", "given", "Debian's"),
)  # fmt: skip


def row_of(command: str) -> Row | None:
    """The row that says how it is tried; `.venv/bin/` before a program makes no difference."""
    plain = command.removeprefix(".venv/bin/")
    return next((row for row in ROWS if re.match(row.pattern, plain)), None)
