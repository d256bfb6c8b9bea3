"""A deployment of plain processes, with the commands of `rendered/`, for machines without Docker."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import psutil

from common.api_key import FIRST, new_key
from fullbatch.core import host, http
from fullbatch.core.errors import HostError, StateError, UsageError
from fullbatch.planning import plan_facts
from fullbatch.planning.engine_plan import EnginePlan
from fullbatch.planning.plan import Plan
from fullbatch.runtime import interrupts, launcher_file, requirements, templates, tinymodel
from fullbatch.runtime.base import MeasuredDeployment, Ports, Say
from fullbatch.runtime.port_check import LOOPBACK
from fullbatch.runtime.process import engine_process, kv_disk, launching, niceness, sockets, state, weights
from fullbatch.runtime.process.logs import tail
from fullbatch.runtime.process.state import ProcessRun, Started
from fullbatch.runtime.process.stopping import KILL_AFTER_SECONDS, stop


class ProcessDeployment(MeasuredDeployment):
    """A plan run as processes of this machine: the gateway on loopback, the engines behind sockets of ours."""

    def __init__(self, root: Path, plan: Plan, ports: Ports) -> None:
        self.root = root
        self.plan = plan
        self.ports = ports
        self.directory = state.run_dir(root, plan.name)
        self.gateway_url = f"http://{LOOPBACK}:{ports.gateway}"
        self._models = state.models(root)
        self._state = ProcessRun(
            profile=plan.name,
            gateway_url=self.gateway_url,
            engine_urls={
                engine.service: f"http://{LOOPBACK}:{port}"
                for engine, port in zip(plan.engines, ports.engines(len(plan.engines)), strict=False)
            },
            api_keys_file=str(self.directory / "api_keys"),
            facts=plan_facts.of(plan),
        )
        # Held so that the children are reaped while we live; they outlive us on purpose.
        self._children: list[subprocess.Popen[bytes]] = []

    @property
    def api_keys_file(self) -> Path:
        """The file with the API key; only its owner can read it."""
        return Path(self._state.api_keys_file)

    @property
    def where_the_key_is(self) -> str:
        """What to look into, for a person."""
        return f"in {self.api_keys_file}"

    def engine_urls(self) -> list[str]:
        """Where the engines answer, once they are started: sockets, or loopback if that was asked for."""
        return list(self._state.engine_urls.values())

    def engine_pids(self) -> list[int]:
        """The roots of the engines' process trees."""
        names = {engine.service for engine in self.plan.engines}
        return [started.pid for started in self._state.processes if started.name in names]

    def preflight(self) -> None:
        """HostError or StateError, with all reasons at once, when it cannot be started here."""
        refuse_second(self.root, self.plan.name)
        if self.plan.engines[0].nodes > 1:
            which = f"profiles/{self.plan.name}.yaml is for several machines"
            raise UsageError(f"{which}; start it with Docker Compose on each (docs/operating.md)")
        taken: dict[int, str] = {}
        for port, option in self._wanted_ports():
            if port in taken:
                raise UsageError(f"{taken[port]} and {option} are both {port}; give one of them another port")
            taken[port] = option
        self._refuse_host()

    def start(self, say: Say) -> None:
        """Start every process."""
        program = engine_process.program(self.root, self.plan.engines[0])
        have = {
            part.engines[0].model: weights.ready(part.engines[0], program, self._models) for part in self.plan.models
        }
        self._prepare()
        if keeper := kv_disk.keeper(self.root, self.plan):
            self._start("kv-prune", keeper, dict(os.environ))
        for engine in self.plan.always:
            self._after_others(engine, say)
            say(f"starting vLLM {self.plan.engine_version} ({engine.device}); log: {self._log(engine.service)}")
            command = self.kept(engine, self.engine_command(program, self.plan.engines.index(engine)))
            given = engine_process.ours() | self._variables(engine, have[engine.model])
            self._start(engine.service, command, given)
            if engine.device == "cpu":
                niceness.give_way(self._children[-1].pid)
        for card, engines in self.plan.turning.items():
            self._after_others(engines[0], say)
            self._launch(card, program, have, say)
        say(f"starting the gateway on {self.gateway_url}")
        gateway = [sys.executable, "-m", "gateway", "--config", str(self.directory / "gateway.yaml")]
        self._start("gateway", gateway, dict(os.environ))

    def engine_command(self, program: str, number: int) -> list[str]:
        """`vllm serve` with the plan's words; only address and place of the model differ from the container's."""
        engine = self.plan.engines[number]
        model, hub = self._addresses().model_path(engine), self._addresses().hub
        kv = str(state.kv_folder(self.root, self.plan.name))
        if self.ports.engine is not None:
            return [program, "serve", *engine.command(model, LOOPBACK, self.ports.engine + number, hub, kv)]
        path = sockets.path_of(self._state.engine_urls[engine.service])
        return [program, "serve", *engine.worker_command(model, hub, kv), "--uds", str(path)]

    def _after_others(self, engine: EnginePlan, say: Say) -> None:
        """Engines that start at once on one card size each other wrongly: wait for those that are on it already."""
        names = {one.service for one in self.plan.always if engine.gpus and one.card_ids == engine.card_ids}
        for started in self._state.processes if self.plan.parts else ():
            if started.name in names:
                say(f"waiting for {started.name}, which is on the same card")
                engine_process.until_it_answers(self._state.engine_urls[started.name], started.process)

    def _launch(self, card: str, program: str, have: Mapping[str, bool], say: Say) -> None:
        """Start what starts the engines that take turns on a card."""
        name, engines = launcher_file.service(card), self.plan.turning[card]
        launched = [
            launcher_file.Launched(
                engine,
                self.engine_command(program, self.plan.engines.index(engine)),
                launching.listen(self._state.engine_urls[engine.service]),
                self._variables(engine, have[engine.model]),
            )
            for engine in engines
        ]
        say(f"starting the launcher of {card}; log: {self._log(name)}")
        socket = launching.socket_paths(self.plan, self._state.sockets)[card]
        command = launching.command(self.directory, self.plan, card, socket, launched)
        self._start(name, command, engine_process.ours())
        if engines[0].device == "cpu":
            niceness.give_way(self._children[-1].pid)

    def _variables(self, engine: EnginePlan, have: bool) -> dict[str, str]:
        return engine_process.variables(self.root, engine, self._state.sockets, offline=have)

    def kept(self, engine: EnginePlan, command: list[str]) -> list[str]:
        """The command behind the one that starts it again when it is stuck, where the profile wants that."""
        if not engine.restart_stuck:
            return command
        grace = self.plan.drain_seconds + KILL_AFTER_SECONDS
        where = ["--gateway", f"{self.gateway_url}/health", "--engine", engine.service, "--grace", str(grace)]
        return [sys.executable, "-m", "fullbatch.runtime.process.keeper", *where, "--", *command]

    def api_key(self) -> str:
        """The first key of the key file."""
        return self.api_keys_file.read_text(encoding="utf-8").split()[0]

    def log_tail(self, lines: int) -> list[str]:
        """The last `lines` of log of the engine that has ended, else of the first."""
        engines = [one for one in self._state.processes if one.name not in ("gateway", "kv-prune")]
        ended = [one for one in engines if one.process() is None]
        return tail(Path((ended or engines)[0].log), lines) if engines else []

    def unready(self) -> list[str]:
        """The engines that do not answer yet, of several."""
        if len(self.plan.engines) == 1:
            return []
        urls = {engine.service: self._state.engine_urls[engine.service] for engine in self.plan.always}
        return [name for name, url in urls.items() if http.get(f"{url}/health").status != 200]

    def failure(self) -> str | None:
        """Which process has ended, if one has."""
        for started in self._state.processes:
            if started.process() is None:
                said = f", which ends: {last[0]}" if (last := tail(Path(started.log), 1)) else ""
                return f"the {started.name} process ({started.pid}) has ended; its log: {started.log}{said}"
        return None

    def being_stopped(self) -> bool:
        """`fullbatch down` marks it, and at the end takes the mark away with everything else."""
        known = state.read(self.root, self.plan.name)
        return known is None or known.stopping

    def stop(self, say: Say) -> None:
        """Stop everything that was started, the gateway first."""
        stop(self.root, self._state, say)
        for child in self._children:
            child.poll()

    def _addresses(self) -> templates.Addresses:
        return templates.Addresses(
            listen_host=LOOPBACK,
            listen_port=self.ports.gateway,
            metrics_port=self.ports.metrics,
            metrics_socket=sockets.path_of(self._state.metrics_url) or "",
            api_keys_file=self._state.api_keys_file,
            store=str(state.store_of(self.root, self.plan.name)),
            reports=str(self.root / "reports"),
            engine_host=LOOPBACK,
            engine_port=self.ports.engine or 0,
            engine_urls=self._state.engine_urls,
            models=str(self._models),
            hub=str(requirements.hub_folder()),
            launchers=launching.socket_paths(self.plan, self._state.sockets),
        )

    def _refuse_host(self) -> None:
        problems = [
            f"port {port} on {LOOPBACK} is taken by {holder}; stop it or choose another with {option}"
            for port, option in self._wanted_ports()
            if (holder := host.port_holder(LOOPBACK, port))
        ]
        problems += [*requirements.shortages(self.plan), *kv_disk.shortages(self.root, self.plan)]
        try:
            engine_process.program(self.root, self.plan.engines[0])
        except HostError as error:
            problems.append(str(error))
        if problems:
            raise HostError(*problems)

    def _wanted_ports(self) -> list[tuple[int, str]]:
        engines = self.ports.engines(len(self.plan.engines))
        metrics = [] if self.ports.metrics is None else [(self.ports.metrics, "--metrics-port")]
        return [(self.ports.gateway, "--gateway-port"), *((port, "--engine-port") for port in engines), *metrics]

    def _prepare(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.directory.chmod(0o700)  # logs hold what people ask, where the engine is told to log it
        self._make_sockets()
        addresses = self._addresses()
        for engine in self.plan.engines:
            if engine.model == "tiny":
                tinymodel.write_if_missing(Path(addresses.model_path(engine)))
        if not self.api_keys_file.exists():
            descriptor = os.open(self.api_keys_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(f"{new_key()} {FIRST}\n")
        text = templates.text(self.root, "gateway.yaml", self.plan, addresses)
        (self.directory / "gateway.yaml").write_text(text, encoding="utf-8")

    def _make_sockets(self) -> None:
        before = state.read(self.root, self.plan.name)
        sockets.remove(before.sockets if before else "")  # of a run that was killed
        folder = sockets.make(self.directory)
        urls = {engine.service: sockets.address(folder, engine.service) for engine in self.plan.engines}
        self._state = dataclasses.replace(
            self._state, sockets=str(folder), engine_urls=self._state.engine_urls or urls,
            metrics_url=self._metrics_url(folder),
        )  # fmt: skip

    def _metrics_url(self, folder: Path) -> str:
        port = self.ports.metrics
        return sockets.address(folder, "metrics") if port is None else f"http://{LOOPBACK}:{port}"

    def _log(self, name: str) -> str:
        return str(self.directory / f"{name}.log")

    def _start(self, name: str, command: list[str], environment: dict[str, str]) -> None:
        # A process that is not in the state file yet could not be stopped by anybody.
        with interrupts.deferred(), Path(self._log(name)).open("wb") as log:
            self._spawn(name, command, environment, log)

    def _spawn(self, name: str, command: list[str], environment: dict[str, str], log: BinaryIO) -> None:
        # A session of its own: Ctrl-C in the terminal reaches us only, and we stop the rest in order.
        process = subprocess.Popen(
            command, cwd=self.root, env=environment, stdin=subprocess.DEVNULL,
            stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        self._children.append(process)
        created = psutil.Process(process.pid).create_time()
        started = Started(name=name, pid=process.pid, created=created, log=self._log(name))
        self._state = dataclasses.replace(self._state, processes=(*self._state.processes, started))
        # Written after each start, so that even a killed `up` leaves what `down` needs.
        state.write(self.root, self._state)


def gateway_program(root: Path, profile: str, module: str, words: Sequence[str], given: str = "") -> int:
    """Run a program of the gateway's on its key store, whether the gateway runs or not; its exit code.

    `given`: for its standard input; empty: this process's own.
    """
    command = [sys.executable, "-m", module, "--store", str(state.store_of(root, profile)), *words]
    return subprocess.run(command, cwd=root, check=False, input=given.encode() if given else None).returncode


def refuse_second(root: Path, profile: str) -> None:
    """StateError when `profile` already runs."""
    known = state.read(root, profile)
    if known and known.alive():
        raise StateError(
            f"profile '{profile}' is already running at {known.gateway_url}; "
            f"see `fullbatch status {profile}`, stop it with `fullbatch down {profile}`"
        )
