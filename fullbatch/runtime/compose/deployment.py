"""The Compose runtime: `docker compose` does the work, the Docker SDK reads states and logs.

What is started needs the checkout's files; what looks at it or ends it goes by the project's name and by what stands on
its containers, so that it works whatever has become of the profile since.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fullbatch.core import host
from fullbatch.core.errors import HostError, StateError
from fullbatch.planning import plan_facts
from fullbatch.planning.plan import Plan
from fullbatch.planning.plan_facts import PlanFacts
from fullbatch.runtime import dotenv, launcher_file, requirements
from fullbatch.runtime.base import Deployment, Say
from fullbatch.runtime.compose import images
from fullbatch.runtime.containers import METRICS_PORT, STORE

if TYPE_CHECKING:
    from docker.models.containers import Container

KEY_FILE = "/run/fullbatch/api_keys"
CA_FILE = "/data/pki/authorities/local/root.crt"
# Through `exec`, whose output no log driver keeps.
SHOW_KEY = "docker compose exec gateway python -m gateway.keyfile --show"
PROFILE_LABEL, FACTS_LABEL = "fullbatch.profile", "fullbatch.facts"
SERVICE_LABEL = "com.docker.compose.service"
CHECKOUT = Path(__file__).resolve().parents[3]
DIGEST = "FULLBATCH_CONFIG_DIGEST"
# Asked inside the engine's container: nothing outside its network can reach it, and a proxy that Docker puts into every
# container's environment must not be asked.
# Models that take turns have a port each; who is not there refuses at once.
READ_METRICS = """\
import os, urllib.request as r
host, ask = os.environ.get("VLLM_HOST_IP", "127.0.0.1"), r.build_opener(r.ProxyHandler({})).open
for port in range(8000, 8016):
    try:
        print(ask(f"http://{host}:{port}/metrics", timeout=5).read().decode())
    except OSError:
        pass
"""
READ_GATEWAY_METRICS = (
    "import urllib.request as r; ask = r.build_opener(r.ProxyHandler({})).open; "
    f"print(ask('http://127.0.0.1:{METRICS_PORT}/metrics', timeout=5).read().decode())"
)


class ComposeDeployment(Deployment):
    """A plan run by Docker Compose. `gateway_url` is the published port on this machine."""

    def __init__(self, root: Path, plan: Plan, gateway_port: int) -> None:
        self.root = root
        self.plan = plan
        self.gateway_url = f"http://127.0.0.1:{gateway_port}"
        self._set = {"PROFILE": plan.name, DIGEST: config_digest(root, plan.name)}
        if gateway_port != dotenv.DEFAULT_GATEWAY_PORT or dotenv.value(root, "GATEWAY_PORT"):
            self._set["GATEWAY_PORT"] = str(gateway_port)

    @property
    def where_the_key_is(self) -> str:
        """What shows it, for a person."""
        return SHOW_KEY

    def preflight(self) -> None:
        """HostError or StateError when it cannot be started here."""
        problem = host.docker().problem
        if problem:
            raise HostError(problem)
        missing = requirements.missing_cards(self.plan)
        # With a Docker Engine elsewhere the cards are elsewhere too.
        if missing and "DOCKER_HOST" not in os.environ:
            raise HostError(*missing)
        running = running_profile()
        if running == self.plan.name:
            raise StateError(
                f"profile '{running}' is already running in Docker; "
                "see `fullbatch status`, stop it with `fullbatch down`"
            )
        if running:
            raise StateError(
                f"profile '{running}' is running in Docker, and '{self.plan.name}' would replace it and its model; "
                "if you want that, run `fullbatch down` first"
            )
        short = requirements.memory(self.plan) if self.plan.gpus else []
        if short and "DOCKER_HOST" not in os.environ:
            raise HostError(*short)

    def start(self, say: Say) -> None:
        """`docker compose up`; HostError when it fails, its own words stand above."""
        say("docker compose up (images are pulled and built the first time)")
        # An image that `upgrade` has put into `.env` is what was judged, and no build's name.
        build = [] if dotenv.value(self.root, images.GATEWAY_IMAGE) else ["--build"]
        words = ["docker", "compose", "up", "--detach", *build, "--remove-orphans"]
        code = subprocess.run(words, cwd=self.root, env=os.environ | self._set, check=False).returncode
        _need(code, "up")

    def remember(self) -> bool:
        """Write what was started into `.env`, so that a bare `docker compose …` means it; whether that was new."""
        return dotenv.keep(self.root, self._set)

    def api_key(self) -> str:
        """The key the `secrets` one-shot made."""
        return first_key()

    def log_tail(self, lines: int) -> list[str]:
        """The first engine container's last `lines` of log."""
        for service in self._services():
            for container in containers(service):
                text: bytes = container.logs(tail=lines)
                return text.decode("utf-8", "replace").splitlines()
        return []

    def _services(self) -> list[str]:
        """The containers with engines, those that have ended first."""
        turning = [launcher_file.service(card) for card in self.plan.turning]
        names = [*(engine.service for engine in self.plan.always), *turning]
        return sorted(names, key=lambda name: any(one.status == "running" for one in containers(name)))

    def unready(self) -> list[str]:
        """The engines whose container is not healthy yet, of several."""
        if len(self.plan.engines) == 1:
            return []
        names = self._services()
        return [name for name in names if not any(one.health == "healthy" for one in containers(name))]

    def failure(self) -> str | None:
        """A container that has ended and will not come back by itself, or keeps dying."""
        fetching = [
            f"model{name.removeprefix('engine')}" for name in (part.engines[0].service for part in self.plan.parts)
        ]
        for service in (*(fetching or ["model"]), *self._services(), "gateway"):
            for container in containers(service):
                state = container.attrs["State"]
                if state["Status"] == "exited" and state["ExitCode"] != 0:
                    return f"container {container.name} has ended with exit code {state['ExitCode']}{_last(container)}"
                if self.restarts(container) > 0:
                    return f"container {container.name} keeps dying (restarted {self.restarts(container)} times)"
        return None

    def restarts(self, container: Container) -> int:
        """How often Docker had to start it again."""
        return int(container.attrs.get("RestartCount", 0))

    def stop(self, say: Say) -> None:
        """`docker compose down`; volumes (weights, keys, history) stay."""
        down(self.root, say)


def down(root: Path, say: Say, *, volumes: bool = False) -> None:
    """Take away every container and network of our project, and its volumes if asked; HostError when that fails."""
    say(f"docker compose down (volumes with weights, keys and history {'go too' if volumes else 'stay'})")
    _need(_by_name(root, "down", "--remove-orphans", *(["--volumes"] if volumes else [])), "down")


def logs(root: Path, lines: int, follow: bool) -> int:
    """Show the last `lines` of every service, or all and what comes; the exit code of `docker compose logs`."""
    return _by_name(root, "logs", *(["--follow"] if follow else ["--tail", str(lines)]))


def gateway_program(root: Path, module: str, words: Sequence[str], given: str = "") -> int:
    """Run a program of the gateway's in its container, on its key store; its exit code.

    `given`: for its standard input; empty: this process's own.
    """
    return _by_name(root, "exec", "-T", "gateway", "python", "-m", module, "--store", STORE, *words, given=given)


def _by_name(root: Path, *words: str, given: str = "") -> int:
    """`docker compose` on what runs, which it knows by the labels of containers: no file is read."""
    environment = {name: value for name, value in os.environ.items() if name != "COMPOSE_FILE"}
    command = ["docker", "compose", "--project-name", dotenv.project(root), *words]
    standard_input = given.encode() if given else None
    return subprocess.run(command, cwd="/", env=environment, check=False, input=standard_input).returncode


def _need(code: int, word: str) -> None:
    if code != 0:
        raise HostError(f"`docker compose {word}` ended with exit code {code}; its own message is above")


def _last(container: Container) -> str:
    """The last line that a container has said, to stand after what has become of it."""
    lines = container.logs(tail=1).decode("utf-8", "replace").strip().splitlines()
    return f", which ends: {lines[-1][:300]}" if lines else ""


def config_digest(root: Path, profile: str) -> str:
    """Changes when a rendered file of `profile` does."""
    digest = hashlib.sha256()
    for path in sorted((root / "rendered" / profile).glob("*")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def containers(service: str | None = None) -> list[Container]:
    """Containers of our project, newest first; empty when Docker does not answer."""
    # The SDK takes longer to load than `fullbatch plan` takes to answer, and only what asks Docker needs it.
    import docker
    from docker.errors import APIError, DockerException

    labels = [f"com.docker.compose.project={dotenv.project(CHECKOUT)}"]
    if service:
        labels.append(f"{SERVICE_LABEL}={service}")
    try:
        client = docker.from_env()
    except DockerException:
        return []
    try:
        found: list[Container] = client.containers.list(all=True, filters={"label": labels})
    except APIError:
        return []
    return found


def first_key() -> str:
    """The key that the `secrets` one-shot made, read from the gateway's own container; empty when none runs."""
    for container in containers("gateway"):
        if container.status == "running":
            answer = container.exec_run(["cat", KEY_FILE])
            if answer.exit_code == 0 and isinstance(answer.output, bytes):
                return next(iter(str(answer.output, "utf-8").split()), "")
    return ""


def local_ca() -> str:
    """The root certificate of the service `tls`, PEM; empty where it does not run."""
    for container in containers("tls"):
        if container.status == "running":
            answer = container.exec_run(["cat", CA_FILE])
            if answer.exit_code == 0 and isinstance(answer.output, bytes):
                return str(answer.output, "utf-8")
    return ""


def running_profile() -> str | None:
    """The profile whose engine containers run, if any."""
    for container in engine_containers():
        if container.status in ("running", "restarting"):
            return str(container.labels.get(PROFILE_LABEL, "?"))
    return None


def running_facts() -> PlanFacts | None:
    """What the engine's container says of the plan that it was started by."""
    for container in engine_containers():
        return plan_facts.read(container.labels.get(FACTS_LABEL))
    return None


def published_gateway() -> str | None:
    """Where the running gateway is published on this machine, as a URL."""
    for container in containers("gateway"):
        for bindings in container.attrs["NetworkSettings"]["Ports"].values():
            for binding in bindings or []:
                return f"http://{binding['HostIp'].replace('0.0.0.0', '127.0.0.1')}:{binding['HostPort']}"
    return None


def published_ports() -> dict[int, str]:
    """The ports of this machine that our running containers hold, and the profile they belong to."""
    profile = running_profile() or "?"
    return {
        int(binding["HostPort"]): profile
        for container in containers()
        for bindings in container.attrs["NetworkSettings"]["Ports"].values()
        for binding in bindings or []
    }


def engine_metrics() -> str:
    """The `/metrics` of every running engine container, one after the other; empty when there is none that answers."""
    found = ""
    for container in engine_containers():
        if container.status == "running":
            answer = container.exec_run(["python3", "-c", READ_METRICS])
            if answer.exit_code == 0 and isinstance(answer.output, bytes):
                found += str(answer.output, "utf-8")
    return found


def gateway_metrics() -> str:
    """The gateway's `/metrics` with the keys, which the published port does not name; empty when none answers."""
    for container in containers("gateway"):
        if container.status == "running":
            answer = container.exec_run(["python", "-c", READ_GATEWAY_METRICS])
            if answer.exit_code == 0 and isinstance(answer.output, bytes):
                return str(answer.output, "utf-8")
    return ""


def engine_containers() -> list[Container]:
    """The containers of engines, and of what starts those that take turns: they say what the plan was."""
    return [one for one in containers() if FACTS_LABEL in one.labels]
