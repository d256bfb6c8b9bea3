"""Plain processes as a runtime. It finds what runs by the state file that was written at the start."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from fullbatch.core import http
from fullbatch.core.check_result import CheckResult
from fullbatch.core.errors import StateError, UsageError
from fullbatch.planning.plan import Plan
from fullbatch.runtime import requirements
from fullbatch.runtime.base import DeadEngine, Held, Ports, RunningDeployment, Runtime, Say, WeightStore
from fullbatch.runtime.hub_folder import HubFolder
from fullbatch.runtime.package_folder import PackageFolder
from fullbatch.runtime.process import examine, kept, launching, state
from fullbatch.runtime.process.deployment import ProcessDeployment, gateway_program
from fullbatch.runtime.process.logs import tail
from fullbatch.runtime.process.state import ProcessRun
from fullbatch.runtime.process.stopping import stop

# Of a log that is followed, everything so far is shown.
_ALL_LINES = 1_000_000
_POLL_SECONDS = 0.3


# Where docs/https.md has Caddy keep its CA.
CADDY_DATA = Path(".fullbatch/tls")


class ProcessRunning(RunningDeployment):
    """What runs as processes of this checkout, or has run and left its logs and keys."""

    runtime = "process"

    def __init__(self, root: Path, profile: str, known: ProcessRun | None) -> None:
        self.root, self.profile = root, profile
        self._known = known or ProcessRun(profile, "", {}, "")
        self.gateway_url, self.facts = self._known.gateway_url, self._known.facts

    def api_key(self) -> str:
        file = Path(self._known.api_keys_file)
        return next(iter(file.read_text(encoding="utf-8").split()), "") if file.is_file() else ""

    def gateway_metrics(self) -> str:
        return http.metrics(self._known.metrics_url or self.gateway_url)

    def engine_metrics(self) -> str:
        return "".join(http.metrics(url) for url in self._known.engine_urls.values())

    def engine_log(self, lines: int) -> list[str]:
        return next((tail(Path(one.log), lines) for one in self._all_engines()), [])

    def dead_engines(self, lines: int, answers: bool) -> list[DeadEngine]:  # noqa: ARG002
        """A process that has ended is started by nobody, whatever the gateway says; a launcher's is no engine, and
        nobody can be loaded without it."""
        launchers = [one for one in self._known.processes if one.name.startswith("launcher-")]
        dead = [one for one in (*self._engines(), *launchers) if not one.process()]
        return [DeadEngine(one.name, tail(Path(one.log), lines)) for one in dead]

    def engine_memory_gib(self) -> float:
        return sum(_proportional_gib(process) for one in self._all_engines() for process in one.session())

    def parts(self) -> dict[str, int]:
        return {started.name: started.pid for started in self._known.alive()}

    def show_logs(self, lines: int, following: bool, write: Callable[[str], object]) -> int:
        if not self._known.processes:
            raise StateError("nothing is running; logs of the last run are in .fullbatch/run/PROFILE/")
        for started in self._known.processes:
            for line in tail(Path(started.log), _ALL_LINES if following else lines):
                write(f"{started.name:8}| {line}\n")
        if following:
            self._follow(write)
        return 0

    def run_gateway_module(self, module: str, words: Sequence[str], given: str = "") -> int:
        return gateway_program(self.root, self.profile, module, words, given)

    def stop(self, say: Say, *, volumes: bool = False) -> None:
        if volumes:
            folder = state.run_dir(self.root, self.profile)
            raise UsageError(
                f"--volumes: '{self.profile}' runs as processes and has none; its keys and logs are in {folder}"
            )
        stop(self.root, self._known, say)

    def _engines(self) -> list[state.Started]:
        return [started for started in self._known.processes if started.name in self._known.engine_urls]

    def _all_engines(self) -> list[state.Started]:
        """Those of launchers too, which sleep or are awake."""
        return [*self._engines(), *launching.engines(self.root, self._known)]

    def _follow(self, write: Callable[[str], object]) -> None:
        """Further lines of all logs, as they come, while anything runs."""
        with contextlib.ExitStack() as stack:
            files = {
                started.name: stack.enter_context(Path(started.log).open(encoding="utf-8", errors="replace"))
                for started in self._known.processes
            }
            for file in files.values():
                file.seek(0, 2)
            while self._known.alive():
                for name, file in files.items():
                    for line in file.readlines():
                        write(f"{name:8}| {line}")
                time.sleep(_POLL_SECONDS)


def _proportional_gib(process: psutil.Process) -> float:
    """Main memory of a process, what it shares with others counted in part."""
    try:
        return float(process.memory_full_info().pss) / 2**30
    except (psutil.Error, AttributeError):
        return 0.0


class ProcessRuntime(Runtime):
    """The engine's own program and the gateway, on loopback."""

    name, about = "process", "plain processes"

    def deployment(self, root: Path, plan: Plan, ports: Ports) -> ProcessDeployment:
        return ProcessDeployment(root, plan, ports)

    def running(self, root: Path) -> list[ProcessRunning]:
        return [ProcessRunning(root, one.profile, one) for one in state.running(root)]

    def stopped(self, root: Path, profile: str | None) -> ProcessRunning | None:
        known = state.read(root, profile) if profile else None
        if profile and (known or state.store_of(root, profile).exists()):
            return ProcessRunning(root, profile, known)
        return None

    def examine(self, root: Path, plan: Plan, ports: Ports, held: Held) -> list[CheckResult]:
        return examine.examine(root, plan, ports, held)

    def held(self, root: Path) -> Held:
        return Held(
            {
                process.pid: one.profile
                for one in state.running(root)
                for started in one.processes
                for process in started.session()
            }
        )

    def last_log(self, root: Path, plan: Plan, lines: int) -> list[str]:
        if any(one.profile == plan.name for one in state.running(root)):
            return []
        return tail(state.run_dir(root, plan.name) / f"{plan.engines[0].service}.log", lines)

    def local_ca(self, root: Path) -> str:
        """Of a Caddy that was started as docs/https.md says."""
        try:
            return (root / CADDY_DATA / "pki/authorities/local/root.crt").read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError):
            return ""

    def weights(self, root: Path) -> list[WeightStore]:
        return [HubFolder(requirements.hub_folder()), PackageFolder(state.models(root))]

    def kept_state(self, root: Path) -> dict[str, bytes]:
        return kept.read(root)

    def put_state(self, root: Path, files: Mapping[str, bytes]) -> None:
        kept.write(root, files)

    def store_version(self, root: Path) -> int | None:
        return kept.store_version(root)

    def client_settings(self, root: Path) -> dict[str, str]:
        return state.client_settings(root)
