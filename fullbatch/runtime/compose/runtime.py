"""Docker Compose as a runtime. It finds what runs by containers and their labels, without reading a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fullbatch.core import host, http
from fullbatch.core.check_result import CheckResult, warn
from fullbatch.planning.plan import Plan
from fullbatch.runtime import dotenv, requirements
from fullbatch.runtime.base import CheckedFiles, DeadEngine, Held, Ports, RunningDeployment, Runtime, Say, WeightStore
from fullbatch.runtime.compose import boot, config, deployment, docker_info, files, kept, upgrade
from fullbatch.runtime.compose.deployment import ComposeDeployment
from fullbatch.runtime.compose.upgrade import ComposeUpgrade
from fullbatch.runtime.compose.volume import VolumeStore
from fullbatch.runtime.hub_folder import HubFolder
from fullbatch.runtime.port_check import PortWanted, judge

if TYPE_CHECKING:
    from docker.models.containers import Container

# compose.yaml publishes them on loopback; the environment may say otherwise.
_PORTS = (("Prometheus", 9090, "PROMETHEUS_PORT"), ("Grafana", 3000, "GRAFANA_PORT"))


class ComposeRunning(RunningDeployment):
    """What runs in Docker: one deployment, since containers go by the project's name."""

    runtime = "compose"

    def __init__(self, root: Path, profile: str) -> None:
        self.root, self.profile = root, profile
        self.gateway_url = deployment.published_gateway() or f"http://127.0.0.1:{Ports().gateway}"
        self.facts = deployment.running_facts()

    def api_key(self) -> str:
        return deployment.first_key()

    def gateway_metrics(self) -> str:
        # A gateway from before an update has its one port only.
        return deployment.gateway_metrics() or http.metrics(self.gateway_url)

    def engine_metrics(self) -> str:
        return deployment.engine_metrics()

    def engine_log(self, lines: int) -> list[str]:
        return next((_log(one, lines) for one in deployment.engine_containers()), [])

    def dead_engines(self, lines: int, answers: bool) -> list[DeadEngine]:
        """Those that were started again, and have not got over it: beside others the gateway answers without them."""
        found = deployment.engine_containers()
        well = answers and len(found) == 1
        dead = (
            [] if well else [one for one in found if one.attrs.get("RestartCount", 0) > 0 and one.health != "healthy"]
        )
        return [DeadEngine(str(one.labels.get(deployment.SERVICE_LABEL, "")), _log(one, lines)) for one in dead]

    def show_logs(self, lines: int, following: bool, write: Callable[[str], object]) -> int:  # noqa: ARG002
        return deployment.logs(self.root, lines, following)

    def run_gateway_module(self, module: str, words: Sequence[str], given: str = "") -> int:
        return deployment.gateway_program(self.root, module, words, given)

    def stop(self, say: Say, *, volumes: bool = False) -> None:
        deployment.down(self.root, say, volumes=volumes)


def _log(container: Container, lines: int) -> list[str]:
    text: bytes = container.logs(tail=lines)
    return text.decode("utf-8", "replace").splitlines()


class ComposeRuntime(Runtime):
    """`docker compose` starts what is committed below `rendered/`."""

    name, about = "compose", "containers of Docker Compose"

    def problem(self) -> str | None:
        return host.docker().problem

    def deployment(self, root: Path, plan: Plan, ports: Ports) -> ComposeDeployment:
        return ComposeDeployment(root, plan, ports.gateway)

    def running(self, root: Path) -> list[ComposeRunning]:
        profile = deployment.running_profile()
        return [ComposeRunning(root, profile)] if profile else []

    def stopped(self, root: Path, profile: str | None) -> ComposeRunning | None:
        # Of one that has ended the project is left, which belongs to no profile.
        return ComposeRunning(root, "?") if profile is None and deployment.containers() else None

    def files(self, root: Path, plan: Plan) -> dict[str, str]:
        return files.files(root, plan)

    def check_files(self, root: Path, names: Sequence[str]) -> CheckedFiles:
        return config.check(root, names)

    def engine_commands(self, root: Path, name: str) -> dict[str, list[str]]:
        return config.engine_commands(root, name)

    def present(self, plan: Plan | None, instead: str | None) -> list[CheckResult]:
        docker = host.docker()
        if instead is None or not docker.problem:
            return docker_info.judge(docker, None if docker.problem else docker_info.read(), plan)
        finding, _, fix = docker.problem.partition("; ")
        return [warn("docker", f"{finding}; profiles run as {instead}", fix.partition(", or use")[0])]

    def examine(self, root: Path, plan: Plan, ports: Ports, held: Held) -> list[CheckResult]:  # noqa: ARG002
        wanted = [PortWanted("gateway", ports.gateway, "choose another: --gateway-port PORT")]
        wanted += [PortWanted(name, number, f"choose another: {variable}=PORT") for name, number, variable in _PORTS]
        tokens = [check for part in plan.models for check in requirements.token(part.engines[0])]
        return [*tokens, *judge(wanted, held)]

    def weights(self, root: Path) -> list[WeightStore]:
        home = dotenv.value(root, "FULLBATCH_HF_HOME")
        if home:
            return [HubFolder(root / Path(home).expanduser() / "hub")]
        store = VolumeStore(root)
        return [store] if store.exists() else []

    def kept_state(self, root: Path) -> dict[str, bytes]:
        return kept.read(root)

    def put_state(self, root: Path, files: Mapping[str, bytes]) -> None:
        kept.write(root, files)

    def store_version(self, root: Path) -> int | None:
        return kept.store_version(root)

    def upgradable(self, root: Path, profile: str) -> ComposeUpgrade:
        return ComposeUpgrade(root, profile)

    def starts_at_boot(self, root: Path) -> CheckResult:  # noqa: ARG002
        return boot.verdict(boot.unit_state(), boot.not_restarted())

    def forget_images(self, root: Path, stamp: str) -> None:  # noqa: ARG002
        if not host.docker().problem:
            upgrade.forget(stamp)

    def local_ca(self, root: Path) -> str:  # noqa: ARG002
        return "" if host.docker().problem else deployment.local_ca()

    def held(self, root: Path) -> Held:  # noqa: ARG002
        return Held(published=deployment.published_ports())
