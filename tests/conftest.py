"""Shared by all tests: free ports, no process left behind, and in CI no skip."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import hypothesis
import psutil
import pytest

from scripts.suite import durations
from tests import ports, prefork

# Grafana comes in no package that can be had everywhere the tests run; its tests may be skipped in CI too.
ALLOWED_SKIP = "Grafana:"
VLLM = Path(__file__).resolve().parent.parent / ".fullbatch" / "engine" / "bin" / "vllm"
# Of tests that need more than this checkout. A file of them names the marker itself: it is looked for in its text.
MARKERS = ("engine", "docker")
# A file all of whose tests have one of them.
_WHOLE = re.compile(rf"^pytestmark = .*\bpytest\.mark\.({'|'.join(MARKERS)})\b", re.MULTILINE)
# Python's own helpers: started once, they live as long as the test run.
_HELPERS = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")

# Beside other tests an example takes what it takes.
hypothesis.settings.register_profile("beside", deadline=None)
hypothesis.settings.load_profile("beside")


@pytest.fixture
def free_port() -> Callable[[], int]:
    """A function that returns another free loopback port each time it is called."""
    return ports.free_port


@pytest.fixture(autouse=True)
def no_process_left_behind() -> Iterator[None]:
    """Fails a test after which a child process of the test run still lives; ends that process."""
    before = set(psutil.Process().children(recursive=True))
    yield
    left = [child for child in psutil.Process().children(recursive=True) if child not in before and _lives(child)]
    _, left = psutil.wait_procs(left, timeout=2) if left else ([], [])
    names = [f"{child.pid} ({' '.join(_command(child))})" for child in left]
    for child in left:
        child.kill()
    psutil.wait_procs(left, timeout=5)
    assert not names, f"left running: {', '.join(names)}"


def _lives(process: psutil.Process) -> bool:
    try:
        words = process.cmdline()
        is_helper = any(helper in word for word in words for helper in _HELPERS)
        # So does the process that forks (tests/prefork.py); its forks have its words and another parent.
        is_helper |= prefork.__name__ in words and process.ppid() == os.getpid()
        return process.status() != psutil.STATUS_ZOMBIE and not is_helper
    except psutil.Error:
        return False


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()[:4]
    except psutil.Error:
        return ["gone"]


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("engine") and not VLLM.exists():
        pytest.skip("vLLM is not in .fullbatch/engine; scripts/install-engine says why")


def pytest_configure() -> None:
    # jsonschema would compile 38 grammars when it is imported, for the format `iri`, which no schema here has.
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    # A shell starts its background jobs with Ctrl-C ignored and nohup those with a hang-up ignored, and every child of
    # ours would inherit that: tests that send either would wait for ever. A handler of our own is not inherited.
    for ignored in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(ignored) is signal.SIG_IGN:
            signal.signal(ignored, signal.default_int_handler)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Nothing is imported of a file, or folder with its conftest.py, that a run by marker has no test of."""
    is_out = _OUT.get(config.option.markexpr)
    if is_out is None:
        return None
    if collection_path.is_dir():
        files = list(collection_path.rglob("test_*.py"))
        return True if files and all(map(is_out, files)) else None
    return True if collection_path.match("test_*.py") and is_out(collection_path) else None


@cache
def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8")


def _names(file: Path, marker: str) -> bool:
    return f"pytest.mark.{marker}" in _text(file)


def _is_marked_whole(file: Path) -> bool:
    return _WHOLE.search(_text(file)) is not None


# `-m` of a run -> whether it has no test of a file: hundreds of files for a handful, or the clients of real engines.
_OUT: dict[str, Callable[[Path], bool]] = {
    "engine": lambda file: not _names(file, "engine"),
    "docker": lambda file: not _names(file, "docker"),
    "not engine and not docker": _is_marked_whole,
}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for marker in MARKERS:
        for file in {item.path for item in items if item.get_closest_marker(marker)}:
            if not _names(file, marker):
                raise pytest.UsageError(f"{file.name}: write pytest.mark.{marker} in this file, or it is not found")
    _longest_first(config, items)


def _longest_first(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Side by side the files that take longest come first, or one of them would be what all wait for at the end."""
    if hasattr(config, "workerinput"):
        seconds = durations.read()
        items.sort(key=lambda item: -seconds.get(item.nodeid.partition("::")[0], 0))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _refused_skips(session.config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    skips = _skips(config)
    if skips:
        terminalreporter.section("skipped, not passed")
    for name, reason in skips:
        terminalreporter.write_line(f"{name}: {reason}")
    for name, _ in _refused_skips(config):
        terminalreporter.write_line(f"FAILED {name}: in CI a skip is a failure", red=True)


def _refused_skips(config: pytest.Config) -> list[tuple[str, str]]:
    if os.environ.get("CI", "").lower() in ("", "0", "false"):
        return []
    return [(name, reason) for name, reason in _skips(config) if not reason.startswith(ALLOWED_SKIP)]


def _skips(config: pytest.Config) -> list[tuple[str, str]]:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return []
    return [
        (report.nodeid, str(report.longrepr[2]).removeprefix("Skipped: "))
        for report in reporter.stats.get("skipped", [])
        if isinstance(report.longrepr, tuple)
    ]
