"""`docker stack deploy` of the shipped example, for real: two Docker Engines on a LAN of their own.

Their engines are stand-ins, all else is what runs: gateway, overlay networks, cards as generic resources, updates.
The tests share one Swarm and go through it in the order written here; the last one takes a machine away.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.docker_stack import ROOT, run
from tests.e2e.swarm_load import health, users
from tests.e2e.swarm_machines import Lan, Machine
from tests.waiting import wait_for

pytestmark = [pytest.mark.docker, pytest.mark.timeout(1500)]

PROFILE = "rtx4090x2-llama3.1-8b-fp8"
EXAMPLE = ROOT / "examples/swarm/stack.yaml"
GATEWAY, ENGINE, BROKEN = "fullbatch/gateway:local", "fullbatch/swarm-engine:local", "fullbatch/swarm-engine:broken"
NEEDED = ("ip", "nsenter", "unshare", "dockerd", "docker-init")
# Of gateway (and its figures), engine, Prometheus, Grafana, Alertmanager.
PORTS = (8080, 9091, 8000, 9090, 3000, 9093)
CARDS = 2  # of each machine; the stack asks for two, so one machine's are enough when the other goes
# Of the stack, and left out here: their images are not what this is about.
WITHOUT = ("fullbatch_prometheus", "fullbatch_grafana")


class Swarm:
    """The first machine is the manager."""

    def __init__(self, lan: Lan, machines: list[Machine], key: str) -> None:
        self.lan, self.machines, self.key = lan, machines, key
        self.addresses = [machine.address for machine in machines]
        self.manager = machines[0]

    def deploy(self) -> str:
        """What `docker stack deploy` says."""
        words = (
            "stack",
            "deploy",
            "--detach=true",
            "--resolve-image",
            "never",
            "--compose-file",
            str(EXAMPLE),
            "fullbatch",
        )
        said = self.manager.docker(*words, FULLBATCH_ENGINE_IMAGE=ENGINE)
        self.manager.docker("service", "scale", "--detach", *(f"{name}=0" for name in WITHOUT))
        return said

    def tasks(self, service: str, state: str = "Running") -> list[str]:
        """The machines on which its tasks are in this state; not one that is gone, whose tasks nobody hears of."""
        wanted = ("--filter", "desired-state=running") if state == "Running" else ()
        words = ("service", "ps", *wanted, "--format", "{{.Node}} {{.CurrentState}}", f"fullbatch_{service}")
        lines = [line.split() for line in self.manager.docker(*words).splitlines()]
        return sorted(line[0] for line in lines if line[1] == state)

    def update(self, service: str, *words: str) -> str:
        """Change a service and wait until that is over, one way or the other; how it ended."""
        self.manager.docker("service", "update", "--detach", "--no-resolve-image", *words, f"fullbatch_{service}")

        def over() -> str:
            state: str = self.inspected(service)["UpdateStatus"]["State"]
            return "" if state in ("updating", "rollback_started") else state

        return wait_for(over, 150, f"the update of {service} is over")

    def inspected(self, service: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.manager.docker("service", "inspect", f"fullbatch_{service}"))[0]
        return found

    def engines_up(self) -> int:
        """As a gateway sees them."""
        found = [self.lan.here(partial(health, at)) for at in self.addresses]
        return max((engine["addresses"]["up"] for one in found if one for engine in one["engines"]), default=0)

    def cards(self) -> list[str]:
        """What each engine has been given."""
        return [
            on.docker("exec", one, "printenv", "DOCKER_RESOURCE_GPU").strip() for on, one in self.containers("engine")
        ]

    def containers(self, service: str) -> list[tuple[Machine, str]]:
        """Those that run now, with their machines."""
        label = f"label=com.docker.swarm.service.name=fullbatch_{service}"
        return [
            (machine, container)
            for machine in self.machines
            for container in machine.docker("ps", "--quiet", "--filter", label).split()
        ]


@pytest.fixture(scope="module")
def images(
    docker_environment: dict[str, str],
    in_the_open: Callable[[], AbstractContextManager[None]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """An archive of what the machines run."""
    with in_the_open():
        run("scripts/offline-images", "--only", "python", env=docker_environment, timeout_s=1500, show=True)
    build = ("docker", "build", "--quiet")
    run(*build, "--file", "gateway/Dockerfile", "--tag", GATEWAY, ".", env=docker_environment, timeout_s=900)
    stand_in = (*build, "--build-context", "fakes=tests/fakes", "tests/e2e/swarm_engine")
    for tag, target in ((ENGINE, "engine"), (BROKEN, "broken")):
        run(*stand_in, "--target", target, "--tag", tag, env=docker_environment)
    archive = tmp_path_factory.mktemp("images") / "images.tar"
    run("docker", "save", "--output", str(archive), GATEWAY, ENGINE, BROKEN, env=docker_environment)
    return archive


@pytest.fixture(scope="module")
def swarm(
    images: Path, docker_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Swarm]:
    missing = [name for name in NEEDED if not shutil.which(name, path=docker_environment["PATH"])]
    if os.geteuid() != 0 or missing:
        pytest.skip(f"machines need root and {', '.join(NEEDED)}; not here: {', '.join(missing) or 'root'}")
    folder, lan, machines = tmp_path_factory.mktemp("swarm"), Lan(f"fb{os.getpid()}"), list[Machine]()
    try:
        machines += [Machine(lan, number, folder / f"m{number}", docker_environment, CARDS) for number in range(2)]
        with ThreadPoolExecutor() as both:
            list(both.map(lambda machine: (machine.wait(), machine.load(images)), machines))
        manager, worker = machines
        manager.docker("swarm", "init", "--advertise-addr", manager.address)
        token = manager.docker("swarm", "join-token", "--quiet", "worker").strip()
        joined = ("--advertise-addr", worker.address, f"{manager.address}:2377")
        worker.docker("swarm", "join", "--token", token, *joined)
        yield Swarm(lan, machines, _secrets(manager, folder))
    finally:
        for machine in machines:
            machine.close()
        lan.close()


def _secrets(manager: Machine, folder: Path) -> str:
    """Made as docs/swarm.md says; the key."""
    keys = folder / "keys"
    run(str(ROOT / ".venv/bin/python"), "-m", "gateway.keyfile", str(keys), "--also", "grafana_password")
    (keys / "token").write_text("none: nothing is fetched here\n", encoding="utf-8")
    for name, file in (("api_keys", "api_keys"), ("grafana_password", "grafana_password"), ("hf_token", "token")):
        manager.docker("secret", "create", f"fullbatch_{name}", str(keys / file))
    return (keys / "api_keys").read_text(encoding="utf-8").split()[0]


def test_the_example_is_taken_as_it_is(swarm: Swarm) -> None:
    checked = swarm.manager.fullbatch("export", "swarm", PROFILE, "--publish", "8080", "--check")
    assert checked.returncode == 0 and "2 cards are there, 2 more" in checked.stdout, checked.stdout + checked.stderr
    said = swarm.deploy()
    assert "gnoring" not in said and "published" not in said, said
    wait_for(lambda: swarm.engines_up() == 2, 90, lambda: swarm.manager.docker("stack", "ps", "fullbatch"))
    assert sorted(swarm.tasks("engine")) == [machine.name for machine in swarm.machines], "a copy on each machine"
    assert len(swarm.tasks("model", "Complete")) == 2, "weights on each machine"


def test_containers_are_as_closed_as_composes(swarm: Swarm) -> None:
    for service in ("gateway", "engine"):
        for machine, container in swarm.containers(service):
            status = machine.docker("exec", container, "cat", "/proc/1/status")
            fields = dict(line.split(":\t") for line in status.splitlines() if ":\t" in line)
            assert int(fields["CapBnd"], 16) == int(fields["CapEff"], 16) == 0 and fields["NoNewPrivs"] == "1"
            assert fields["Seccomp"] == "2"
            host = json.loads(machine.docker("inspect", container))[0]["HostConfig"]
            assert host["ReadonlyRootfs"] and host["PidsLimit"] == {"gateway": 256, "engine": 4096}[service]
            mounts = machine.docker("exec", container, "cat", "/proc/mounts")
            assert "tmpfs /tmp tmpfs rw,nosuid,nodev,noexec" in mounts
    assert len(set(swarm.cards())) == 2, "each copy has a card of its own"
    machine, engine = swarm.containers("engine")[0]
    shm = machine.docker("exec", engine, "df", "--output=size", "-k", "/dev/shm").split()[1]
    assert int(shm) == 2 * 2**20


def test_the_engine_gets_the_words_of_the_plan(swarm: Swarm) -> None:
    rendered = yaml.safe_load((ROOT / f"rendered/{PROFILE}/compose.yaml").read_text(encoding="utf-8"))
    words = [word.replace("$$", "$") for word in rendered["services"]["engine"]["command"]]
    for machine, engine in swarm.containers("engine"):
        found = machine.docker("exec", engine, "cat", "/proc/1/cmdline").split("\0")
        assert found[-len(words) - 1 : -1] == words


def test_only_the_gateways_port_answers(swarm: Swarm) -> None:
    def open_ports(address: str) -> list[int]:
        return [port for port in PORTS if swarm.lan.here(partial(_is_open, address, port))]

    found = {machine.name: open_ports(machine.address) for machine in swarm.machines}
    (on,) = swarm.tasks("gateway")
    assert found == {machine.name: [8080] if machine.name == on else [] for machine in swarm.machines}
    machine, engine = swarm.containers("engine")[0]
    probe = "import socket; socket.create_connection(('198.51.100.1', 53), timeout=3)"
    with pytest.raises(AssertionError, match="unreachable"):
        machine.docker("exec", engine, "python3", "-c", probe)


def _is_open(address: str, port: int) -> bool:
    import socket

    try:
        socket.create_connection((address, port), timeout=2).close()
    except OSError:
        return False
    return True


def test_nothing_is_lost_while_engines_and_gateway_are_updated(swarm: Swarm) -> None:
    (before,) = swarm.tasks("gateway")
    with users(swarm.lan, swarm.addresses, swarm.key) as load:
        assert swarm.update("engine", "--label-add", "fullbatch.test=1", "--force") == "completed"
        wait_for(lambda: swarm.engines_up() == 2, 60, "both engines again")
        assert swarm.update("gateway", "--force") == "completed"
        wait_for(lambda: load.asked >= 500, 120, lambda: f"500 requests, not {load.asked}")
    assert load.lost == [] and load.asked >= 500
    assert swarm.tasks("gateway") != [before], "its port was taken there: it has moved"
    assert len(load.whole) == 2, "asked on both machines"


def test_a_bad_update_rolls_back_and_one_engine_stays(swarm: Swarm) -> None:
    with users(swarm.lan, swarm.addresses, swarm.key, 4) as load:
        assert swarm.update("engine", "--image", BROKEN) == "rollback_completed"
        wait_for(lambda: swarm.engines_up() == 2, 60, "both engines again")
    assert load.lost == [] and load.asked > 0
    assert swarm.inspected("engine")["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"] == ENGINE


def test_a_machine_that_goes_is_replaced_and_answers_go_on(swarm: Swarm) -> None:
    manager, gone = swarm.machines
    if swarm.tasks("gateway") != [manager.name]:
        assert swarm.update("gateway", "--force") == "completed"
    wait_for(lambda: swarm.engines_up() == 2, 60, "both engines")
    swarm.machines, swarm.addresses = [manager], [manager.address]
    people = 8
    with users(swarm.lan, swarm.addresses, swarm.key, people) as load:
        wait_for(lambda: load.asked >= 2 * people, 30, "everybody has had an answer")
        gone.cut_power()
        replaced = [manager.name] * 2
        wait_for(lambda: swarm.tasks("engine") == replaced and swarm.engines_up() == 2, 120, "both engines again")
    assert len(load.lost) <= people, "no more than what was under way there: each user had one"
    assert load.whole.total() > 10 * people, "answers went on"
    assert sorted(swarm.cards()) == [f"GPU-{manager.name}-{number}" for number in range(2)]
