"""The state file of the process runtime: what was started, so that later commands can find and stop it."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path

import psutil

from fullbatch.planning import plan_facts
from fullbatch.planning.plan_facts import PlanFacts


@dataclass(frozen=True)
class Started:
    """One process of ours. `created` (seconds since the epoch) tells it from a later one with the same pid."""

    name: str
    pid: int
    created: float
    log: str

    def process(self) -> psutil.Process | None:
        """The live process, or None when it has ended (a zombie has ended too)."""
        try:
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.created) > 1 or process.status() == psutil.STATUS_ZOMBIE:
                return None
        except psutil.Error:
            return None
        return process

    def session(self) -> list[psutil.Process]:
        """It and all it has started that still live; the engine's workers may outlive the engine itself.

        Each is started as the leader of a session of its own, and a session's number is not given out again while
        anybody is in it.
        """
        if self.created < psutil.boot_time() - 1 or _is_another(self.pid, self.created):
            return []
        return [process for process in psutil.process_iter() if _in_session(process, self.pid)]


def _is_another(pid: int, created: float) -> bool:
    try:
        return abs(psutil.Process(pid).create_time() - created) > 1
    except psutil.Error:
        return False


def _in_session(process: psutil.Process, leader: int) -> bool:
    try:
        return os.getsid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE
    except (OSError, psutil.Error):
        return False


@dataclass(frozen=True)
class ProcessRun:
    """A deployment run as plain processes. `sockets`: the folder of its engines' sockets; `facts`: of its plan.

    `metrics_url`: where the gateway tells everything; empty where it was started by an older version. `stopping`: by
    `fullbatch down`, and so no failure.
    """

    profile: str
    gateway_url: str
    engine_urls: dict[str, str]
    api_keys_file: str
    processes: tuple[Started, ...] = ()
    sockets: str = ""
    facts: PlanFacts | None = None
    metrics_url: str = ""
    stopping: bool = False

    def alive(self) -> list[Started]:
        """Those of its processes that live, or have left children behind."""
        return [started for started in self.processes if started.session()]


def models(root: Path) -> Path:
    """Where models lie that are made on this machine, or come in a package."""
    return root / ".fullbatch" / "models"


def kv_folder(root: Path, profile: str) -> Path:
    """Where the KV cache of one profile lies on disk: in effect what people have asked. It outlasts the engine."""
    return root / ".fullbatch" / "kv-offload" / profile


def run_dir(root: Path, profile: str) -> Path:
    """Where the process runtime keeps state, logs and files of one profile."""
    return root / ".fullbatch" / "run" / profile


def store_of(root: Path, profile: str) -> Path:
    """The key store of one profile's gateway; it stays when the gateway is stopped."""
    return run_dir(root, profile) / "store"


def write(root: Path, state: ProcessRun) -> None:
    """Replace the state file in one step: a reader never sees half of it."""
    path = run_dir(root, state.profile) / "state.json"
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(dataclasses.asdict(state), indent=2) + "\n", encoding="utf-8")
    temporary.replace(path)


def read(root: Path, profile: str) -> ProcessRun | None:
    """The state of `profile`; None when it was never started or the file is not one of ours."""
    try:
        data = json.loads((run_dir(root, profile) / "state.json").read_text(encoding="utf-8"))
        processes = tuple(Started(**entry) for entry in data.pop("processes"))
        known = plan_facts.read(data.pop("facts", None))
        return ProcessRun(**data, processes=processes, facts=known)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def forget(root: Path, profile: str) -> None:
    """Remove the state file; logs stay."""
    (run_dir(root, profile) / "state.json").unlink(missing_ok=True)


def running(root: Path) -> list[ProcessRun]:
    """Every deployment of this checkout that has a live process."""
    found = (read(root, path.parent.name) for path in sorted((root / ".fullbatch" / "run").glob("*/state.json")))
    return [state for state in found if state and state.alive()]


def client_settings(root: Path) -> dict[str, str]:
    """Address, key file and log of the one gateway that runs as processes, as the load test's variables."""
    found = running(root)
    if len(found) != 1:
        return {}
    said = {"FULLBATCH_HOST": found[0].gateway_url, "FULLBATCH_KEY_FILE": found[0].api_keys_file}
    log = next((one.log for one in found[0].processes if one.name == "gateway"), None)
    return said | ({"FULLBATCH_LOG": log} if log else {})
