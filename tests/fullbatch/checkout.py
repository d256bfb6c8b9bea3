"""A throw-away checkout: the program as a person runs it, on profiles, templates and an engine of the test's own."""

from __future__ import annotations

import atexit
import compileall
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import psutil

from tests.waiting import wait_for

REPOSITORY = Path(__file__).resolve().parents[2]
_COPIED = ("common", "fullbatch", "gateway", "launcher", "profiles", "templates", "rendered", "compose.yaml")

# Takes the place of `vllm`: says a few words of vLLM's log, then becomes the fake engine on the port it is given.
FAKE_VLLM = """\
#!{python}
import os, sys
words = sys.argv[1:]
assert words[0] == "serve", words
def given(flag): return words[words.index(flag) + 1]
print("(APIServer pid=1) INFO 11-23 14:00:51 [api_utils.py:286] started with:", *words, flush=True)
print("(EngineCore pid=2) INFO 11-23 14:01:06 [core.py:133] Initializing a V1 LLM engine (v0.32.0)", flush=True)
os.environ["PYTHONPATH"] = {repository!r}
where = ["--uds", given("--uds")] if "--uds" in words else ["--host", given("--host"), "--port", given("--port")]
os.execv(sys.executable, [sys.executable, "-m", "tests.fakes.engine", *where,
    "--model", given("--served-model-name"), *{extra!r}])
"""


# What tests and the program write to in a checkout; all else is a link there, to one copy for this run of tests.
_WRITTEN = ("profiles/", "templates/", "compose.yaml", "fullbatch/catalog/calibration.yaml")


@cache
def _whole() -> Path:
    """That copy, with what is compiled of it, or every program started in a checkout would compile all once more."""
    folder = Path(tempfile.mkdtemp(prefix="fullbatch-checkout-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name in _COPIED:
        source = REPOSITORY / name
        if source.is_dir():
            compileall.compile_dir(source, quiet=2)
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("*.pyc.*", "bench"))
        else:
            shutil.copy2(source, folder / name)
    return folder


@cache
def _files() -> dict[str, tuple[int, int]]:
    """The files of that copy, by path below it, each with what says whether it has been written to."""
    found = (path for path in _whole().rglob("*") if path.is_file())
    return {str(path.relative_to(_whole())): _state(path) for path in found}


def _state(path: Path) -> tuple[int, int]:
    return (found := path.stat()).st_size, found.st_mtime_ns


class Checkout:
    """Copies of the program's files below `root`, and ways to run it there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.bin = root / "bin"
        self.bin.mkdir()
        for folder in sorted({path.rpartition("/")[0] for path in _files()}):
            (root / folder).mkdir(parents=True, exist_ok=True)
        for path in _files():
            take = shutil.copy2 if path.startswith(_WRITTEN) else os.link  # a copy takes twenty times as long
            take(f"{_whole()}/{path}", f"{root}/{path}")

    def write(self, path: str, text: str) -> Path:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)  # it may be a link to what other checkouts have too
        target.write_text(text, encoding="utf-8")
        return target

    def program(self, path: str, text: str) -> Path:
        """Write an executable file."""
        target = self.write(path, text)
        target.chmod(0o755)
        return target

    def engine(self, *fake_engine_options: str) -> None:
        """Put the fake engine where the process runtime looks for vLLM."""
        text = FAKE_VLLM.format(python=sys.executable, repository=str(REPOSITORY), extra=list(fake_engine_options))
        self.program(".fullbatch/engine/bin/vllm", text)

    def broken_engine(self, body: str) -> None:
        """A Python program of the test's own in place of vLLM."""
        self.program(".fullbatch/engine/bin/vllm", f"#!{sys.executable}\n{body}")

    def environment(self) -> dict[str, str]:
        """Nothing of this machine's Docker and cards: PATH holds only what the test wrote."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("DOCKER_", "COMPOSE_"))}
        return kept | {
            "PATH": str(self.bin),
            "DOCKER_HOST": f"unix://{self.root}/no-docker.sock",
            "PYTHONPATH": str(self.root),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "fullbatch", *words]

    def run(self, *words: str, timeout: float = 60, here: Path | None = None) -> subprocess.CompletedProcess[str]:
        """`fullbatch WORDS` to its end, typed in the checkout or `here`."""
        return subprocess.run(
            self.command(*words), cwd=here or self.root, env=self.environment(),
            capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip

    @contextmanager
    def started(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """`fullbatch WORDS` while it runs; both outputs come in one pipe."""
        process = subprocess.Popen(
            self.command(*words), cwd=self.root, env=self.environment(), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            yield process
        finally:
            process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()

    def processes(self) -> list[psutil.Process]:
        """What runs in this checkout, whoever its parent is by now."""
        return [process for process in psutil.process_iter() if _runs_in(process, self.root)]

    @staticmethod
    def spoiled() -> list[str]:
        """Files of all checkouts that something wrote to in place, in this one; they are made anew for the next."""
        found = [path for path, state in _files().items() if _state(_whole() / path) != state]
        if found:
            _whole.cache_clear()
            _files.cache_clear()
        return found

    def end_all(self) -> list[str]:
        """Kill what is left; its command lines."""
        left = self.processes()
        names = [" ".join(process.cmdline()) for process in left]
        for process in left:
            process.send_signal(signal.SIGKILL)
        psutil.wait_procs(left, timeout=5)
        return names


def _runs_in(process: psutil.Process, root: Path) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()).is_relative_to(root)
    except (psutil.Error, OSError):
        return False


def read_until(process: subprocess.Popen[str], mark: str) -> str:
    """The output of `process` up to the line with `mark`; AssertionError with all of it when it ends before."""
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if mark in line:
            return seen
    raise AssertionError(f"'{mark}' never came:\n{seen}")


def rest(process: subprocess.Popen[str], timeout: float = 60) -> str:
    """What `process` still says until it ends."""
    output, _ = process.communicate(timeout=timeout)
    return output


def wait_gone(*pids: int) -> None:
    """Until none of them runs."""
    wait_for(lambda: not any(map(_runs, pids)), 10, lambda: f"gone: {[pid for pid in pids if _runs(pid)]}")


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
