"""Sides of a cell that run: vLLM by the process runtime, llama.cpp by its own server."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from fullbatch.core import host, http
from fullbatch.core.errors import EngineError, HostError
from fullbatch.lifecycle import deployment
from fullbatch.measure import calibrate, launcher
from fullbatch.planning.plan import Plan
from fullbatch.runtime.base import Ports, Say
from fullbatch.runtime.process import state
from fullbatch.runtime.process.deployment import ProcessDeployment
from fullbatch.runtime.process.logs import tail
from fullbatch.runtime.process.stopping import stop
from scripts.gpubench.matrix import Side

_POLL_S = 0.2
_START_LIMIT_S = 300.0
# Written once the engine has measured what is left for its pool: from here on another may be started beside it.
_SIZED = re.compile(r"GPU KV cache size|Available KV cache memory|# CPU blocks|CPU KV cache size")
_LOG_LINES = 4000


class Running(Protocol):
    """A side that was started."""

    def sized(self) -> bool:
        """Whether it has taken its memory, or has ended."""

    def wait(self) -> float:
        """Seconds until it answered with a token; EngineError when it does not."""

    def words(self, folder: Path) -> str:
        """It, as `loadtest compare` takes a side."""

    def facts(self) -> dict[str, Any]:
        """What it says of itself: version, command, memory."""

    def stop(self) -> None:
        """End it with all that it started."""


class Vllm:
    """One engine and its gateway, as `fullbatch up` would start them."""

    def __init__(self, root: Path, name: str, plan: Plan, ports: Ports, say: Say) -> None:
        self.name, self.plan, self._say = name, plan, say
        refuse_taken(ports.gateway, *ports.engines(1))
        self.deployment = ProcessDeployment(root, plan, ports)
        self._started = time.monotonic()
        self.deployment.start(say)
        self.seconds = 0.0

    def sized(self) -> bool:
        log = "\n".join(self.deployment.log_tail(_LOG_LINES))
        return bool(_SIZED.search(log)) or self.deployment.failure() is not None

    def wait(self) -> float:
        if self.seconds:  # up since an earlier cell
            return self.seconds
        options = deployment.Options("process", self.deployment.ports, _START_LIMIT_S)
        deployment.wait(self.deployment, self.plan, options, self._say)
        self.seconds = time.monotonic() - self._started
        return self.seconds

    def words(self, folder: Path) -> str:
        return self._words(folder, self.name, self.deployment.engine_urls()[0])

    def gateway_words(self, folder: Path) -> str:
        """The same engine through its gateway."""
        name = f"{self.name}-gateway"
        return self._words(folder, name, self.deployment.gateway_url) + f",key-file={self.deployment.api_keys_file}"

    def _words(self, folder: Path, name: str, url: str) -> str:
        meta = folder / f"meta-{name}.json"
        launcher.write_meta(meta, self.plan, self.deployment, self.seconds)
        said = json.loads(meta.read_text(encoding="utf-8")) | {"engine": self.version()}
        meta.write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")
        engine = self.deployment.engine_urls()[0]
        pids = "".join(f",pid={pid}" for pid in self.deployment.engine_pids())
        return f"{name}={url},model={self.plan.engines[0].served_name},meta={meta},metrics={engine}/metrics{pids}"

    def version(self) -> str:
        """The engine that really runs; the plan names the pinned one."""
        answer = http.get(f"{self.deployment.engine_urls()[0]}/version").json()
        return f"vLLM {answer.get('version', 'unknown')}"

    def facts(self) -> dict[str, Any]:
        metrics = http.get(f"{self.deployment.engine_urls()[0]}/metrics").text
        log = self.deployment.log_tail(20_000)
        run = calibrate.measure(self.plan, calibrate.EngineReport(metrics, log, None), datetime.now(UTC).date())
        return {
            "engine": self.version(),
            "command": " ".join(self.deployment.engine_command("vllm", 0)),
            "startup_seconds": round(self.seconds, 1),
            "card_gib": card_gib(self.deployment.engine_pids()),
            "calibration": run | {"engine": self.version()},
        }

    def log(self) -> str:
        """The engine's whole log, as far as it is kept."""
        return "\n".join(self.deployment.log_tail(20_000))

    def stop(self) -> None:
        self.deployment.stop(self._say)


@dataclass(frozen=True)
class LlamaProgram:
    """llama-server and what its process needs."""

    command: tuple[str, ...]
    environment: dict[str, str]
    port: int = 0


class Llama:
    """llama.cpp's server on one file of weights, all layers on the card where there is one."""

    def __init__(self, program: LlamaProgram, name: str, model: tuple[str, Path], side: Side, log: Path) -> None:
        self.name, self.model, self._log = name, model[0], log
        self.port = program.port
        refuse_taken(self.port)
        self.arguments = [
            "--model", str(model[1]), "--alias", self.model, "--host", "127.0.0.1", "--port", str(self.port),
            "--parallel", str(side.slots), "--ctx-size", str(side.slots * side.slot_context), "--n-gpu-layers", "999",
            "--metrics",
        ]  # fmt: skip
        self._started = time.monotonic()
        self.seconds = 0.0
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                [*program.command, *self.arguments], env=program.environment, stdin=subprocess.DEVNULL,
                stdout=file, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def sized(self) -> bool:
        return self._process.poll() is not None or http.get(f"{self._url}/health").status == 200

    def wait(self) -> float:
        if self.seconds:
            return self.seconds
        while http.get(f"{self._url}/health").status != 200:
            if self._process.poll() is not None or time.monotonic() - self._started > _START_LIMIT_S:
                raise EngineError(f"llama-server '{self.name}' does not answer", *tail(self._log, 12))
            time.sleep(_POLL_S)
        self.seconds = time.monotonic() - self._started
        return self.seconds

    @property
    def _url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def words(self, folder: Path) -> str:
        meta = folder / f"meta-{self.name}.json"
        meta.write_text(json.dumps(self.facts() | {"machine": host.machine().in_words()}, indent=2) + "\n")
        return f"{self.name}={self._url},model={self.model},meta={meta},pid={self._process.pid}"

    def facts(self) -> dict[str, Any]:
        text = "\n".join(tail(self._log, _LOG_LINES))
        build = re.search(r"build(?:_info)?:? *(?:b)?(\d+[^\n)]{0,40})", text)
        return {
            "engine": f"llama.cpp {build[1].strip() if build else 'of unknown build'}",
            "command": " ".join(["llama-server", *self.arguments]),
            "startup_seconds": round(self.seconds, 1),
            "card_gib": card_gib([self._process.pid]),
            "flash_attention": next(iter(re.findall(r"flash_attn *= *(\S+)", text)), "unknown"),
        }

    def log(self) -> str:
        """The server's log."""
        return "\n".join(tail(self._log, _LOG_LINES))

    def stop(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(10)
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def refuse_taken(*ports: int) -> None:
    """HostError where somebody listens on one of these ports of ours."""
    taken = [(port, holder) for port in ports if (holder := host.port_holder("127.0.0.1", port))]
    if taken:
        told = (f"port {port} on 127.0.0.1 is taken by {holder}" for port, holder in taken)
        raise HostError(*(f"{line}; stop it or choose others with --gateway-port and --engine-port" for line in told))


def card_gib(leaders: Sequence[int]) -> float | None:
    """GiB of the card that these processes and their children hold; None where the driver does not say."""
    query = ["nvidia-smi", "--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits"]
    try:
        said = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = 0.0
    for line in said.stdout.splitlines():
        pid, _, used = line.partition(",")
        if pid.strip().isdigit() and used.strip().isdigit() and _session(int(pid)) in leaders:
            found += int(used) / 1024
    return round(found, 2) or None


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return 0


def forget(root: Path, plan: Plan) -> None:
    """Stop what an earlier run of this plan left behind."""
    known = state.read(root, plan.name)
    if known and known.alive():
        stop(root, known, lambda _text: None, patience=0.0)
