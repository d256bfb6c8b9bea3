"""One Compose project on a real Docker Engine, for the tests beside it: started, asked, changed, taken away."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any

from tests.ports import free_port
from tests.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]


class StackFailure(AssertionError):
    """A command that failed, with everything it printed."""


def run(
    *argv: str, env: Mapping[str, str] | None = None, cwd: Path = ROOT, timeout_s: float = 600, show: bool = False
) -> str:
    """The command's standard output. With `show`, what it says on standard error goes to the terminal as it comes."""
    try:
        done = subprocess.run(
            argv,
            cwd=cwd,
            env=env,
            timeout=timeout_s,
            text=True,
            stdout=subprocess.PIPE,
            stderr=None if show else subprocess.PIPE,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        raise StackFailure(f"{' '.join(argv)}: no end after {timeout_s} s\n{late.stdout!r}\n{late.stderr!r}") from None
    if done.returncode:
        raise StackFailure(f"{' '.join(argv)}: exit {done.returncode}\n{done.stdout}\n{done.stderr or ''}")
    return done.stdout


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: str

    def json(self) -> Any:
        return json.loads(self.body)


def get(url: str, *, data: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
    """GET, or POST with JSON `data`; any status is an answer."""
    content = None if data is None else json.dumps(data).encode()
    return _ask(urllib.request.Request(url, content, {"content-type": "application/json", **(headers or {})}))


def post_form(url: str, form: str) -> Answer:
    return _ask(urllib.request.Request(url, form.encode()))


def _ask(request: urllib.request.Request) -> Answer:
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return _answer(reply.status, reply.headers, reply.read())
    except urllib.error.HTTPError as refusal:
        with refusal:
            return _answer(refusal.code, refusal.headers, refusal.read())


def _answer(status: int, headers: Message, body: bytes) -> Answer:
    return Answer(status, {key.lower(): value for key, value in headers.items()}, body.decode())


def _copy(folder: Path) -> Path:
    """What git tracks, and what it would track."""
    for name in run("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z").split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


class Stack:
    """`compose.yaml` with profile cpu-tiny and Locust, under a project name of its own and on free ports.

    In a copy of the checkout: other tests run `fullbatch` in ours, and would be seen by ours and see it.
    """

    def __init__(self, environment: Mapping[str, str], folder: Path, *, grafana: bool) -> None:
        self.root = _copy(folder)
        self.grafana = grafana
        self.project = f"fullbatch-e2e-{os.getpid()}"
        self.gateway = f"http://127.0.0.1:{(gateway := free_port())}"
        self.prometheus = f"http://127.0.0.1:{(prometheus := free_port())}"
        self.grafana_url = f"http://127.0.0.1:{(dashboards := free_port())}"
        self.locust = f"http://127.0.0.1:{(load := free_port())}"
        self._env = {
            **{
                key: value
                for key, value in environment.items()
                if not key.startswith("FULLBATCH_") or "BIND" not in key
            },
            "PROFILE": "cpu-tiny",
            "COMPOSE_PROFILES": "load",
            "GATEWAY_PORT": str(gateway),
            "PROMETHEUS_PORT": str(prometheus),
            "GRAFANA_PORT": str(dashboards),
            "LOCUST_PORT": str(load),
        }
        self._files = ["compose.yaml", *([] if grafana else ["tests/e2e/compose.no-grafana.yaml"])]

    def compose(self, *arguments: str, timeout_s: float = 600) -> str:
        files = [word for file in self._files for word in ("--file", file)]
        return self.docker("compose", "--project-name", self.project, *files, *arguments, timeout_s=timeout_s)

    def docker(self, *arguments: str, timeout_s: float = 60) -> str:
        return run("docker", *arguments, env=self._env, cwd=self.root, timeout_s=timeout_s)

    def fullbatch(self, *words: str, project: str | None = None) -> subprocess.CompletedProcess[str]:
        """Our own command line, looking at this project (or at another one on the same ports)."""
        files = {"COMPOSE_FILE": ":".join(self._files), "COMPOSE_PROJECT_NAME": project or self.project}
        return subprocess.run(
            [sys.executable, "-m", "fullbatch", *words], cwd=self.root, env=self._env | files,
            text=True, capture_output=True, timeout=600, check=False,
        )  # fmt: skip

    def up(self, *arguments: str) -> None:
        try:
            self.compose("up", "--detach", "--wait", "--wait-timeout", "400", *arguments)
        except StackFailure as failure:
            logs = self.compose("logs", "--no-color", "--tail", "40")
            raise StackFailure(f"{failure}\n{self.compose('ps', '--all')}\n{logs}") from None

    def containers(self, service: str | None = None) -> list[dict[str, Any]]:
        """What the engine knows of the project's containers, one-shots included."""
        filters = [f"label=com.docker.compose.project={self.project}"]
        filters += [f"label=com.docker.compose.service={service}"] if service else []
        words = [word for one in filters for word in ("--filter", one)]
        ids = self.docker("ps", "--all", "--quiet", *words).split()
        found: list[dict[str, Any]] = json.loads(self.docker("inspect", *ids)) if ids else []
        return found

    def secret(self, name: str) -> str:
        """A secret as the README says to look at it: the API key called `name`, or Grafana's `admin_password`."""
        if name == "admin_password":
            return self.compose("exec", "-T", "grafana", "cat", f"/run/fullbatch/{name}").strip()
        show = ("python", "-m", "gateway.keyfile", "--show", "--name", name)
        return self.compose("exec", "-T", "gateway", *show).strip()

    def targets(self, job: str) -> list[str]:
        """Health of each target of one Prometheus job: up, down or unknown."""
        active = get(f"{self.prometheus}/api/v1/targets").json()["data"]["activeTargets"]
        return [target["health"] for target in active if target["labels"]["job"] == job]

    def wait_for_targets(self, job: str, health: list[str]) -> None:
        """Waits a minute at most; a target more or less than in `health` counts as a difference."""
        wait_for(lambda: self.targets(job) == health, 60, lambda: f"{job} with {health}, not {self.targets(job)}")

    def gateway_metric(self, name: str) -> list[float]:
        """From the port that is not published, as the stack's Prometheus reads it."""
        read = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:9091/metrics').read().decode())"
        lines = self.compose("exec", "-T", "gateway", "python", "-c", read, timeout_s=30).splitlines()
        return [float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith((f"{name} ", f"{name}{{"))]

    def left_over(self) -> list[str]:
        """Containers, networks and volumes of this project."""
        label = f"label=com.docker.compose.project={self.project}"
        found = self.docker("ps", "--all", "--quiet", "--filter", label).split()
        found += self.docker("network", "ls", "--quiet", "--filter", label).split()
        return found + self.docker("volume", "ls", "--quiet", "--filter", label).split()
