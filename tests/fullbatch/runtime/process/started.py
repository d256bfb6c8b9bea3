"""Deployments of a throw-away checkout: engines that behave as a test needs, and what is seen of those that run."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path

from tests.fullbatch.checkout import Checkout
from tests.waiting import wait_for

# Never opens its port, as an engine that compiles for minutes.
LOADS_FOR_EVER = ("--fault", "slow-start", "--slow-start-s", "3600")
DIES = """
import sys
print("INFO Starting to load model tiny...", flush=True)
print("RuntimeError: the reason it died", flush=True)
sys.exit(1)
"""


# Its worker lives on when it dies, as vLLM's do for a while.
DIES_AND_LEAVES_A_WORKER = """
import subprocess, sys
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print("RuntimeError: the reason it died", flush=True)
sys.exit(1)
"""


HEARS_NO_SIGTERM = """
import signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(3600)
"""


# Becomes the parent of all orphans below it, as a container's first process, and does not wait for them.
REAPS_NOBODY = """
import ctypes, json, os, subprocess, time
PR_SET_CHILD_SUBREAPER = 36
assert ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
subprocess.run(json.loads(os.environ["UP"]), check=True)
began = time.monotonic()
subprocess.run(json.loads(os.environ["DOWN"]), check=True)
print(time.monotonic() - began)
"""


# Of a checkpoint, as far as a start without a network looks for it.
SERVED = [f"snapshots/c/{name}" for name in ("config.json", "tokenizer.json", "model.safetensors")]


# Says what it was given, then dies.
TELLS = """
import os, sys
for name in ("VLLM_RPC_BASE_PATH", "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "PYTHONDONTWRITEBYTECODE"):
    print(name, os.environ.get(name), os.path.isdir(os.environ.get(name, "")), flush=True)
sys.exit(1)
"""


def _free_pair(port: int, other: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port + 1))
        except (OSError, OverflowError):
            return False
    return port + 1 != other


class Words:
    """Words of the command line, with ports of this test's own."""

    def __init__(self, free_port: Callable[[], int]) -> None:
        self.gateway, self.engine = free_port(), free_port()
        while not _free_pair(self.engine, self.gateway):  # a second engine listens on the next one
            self.engine = free_port()

    def up(self, profile: str = "cpu-tiny", *, on_ports: bool = False) -> list[str]:
        """`on_ports`: the engines on loopback instead of on sockets."""
        ports = ["--gateway-port", str(self.gateway), *(["--engine-port", str(self.engine)] if on_ports else [])]
        return ["up", profile, "--runtime", "process", "--timeout", "60", *ports]


def state_file(checkout: Checkout) -> Path:
    return checkout.root / ".fullbatch" / "run" / "cpu-tiny" / "state.json"


def pid_of(checkout: Checkout, name: str) -> int:
    entries = json.loads(state_file(checkout).read_text(encoding="utf-8"))["processes"]
    return next(int(entry["pid"]) for entry in entries if entry["name"] == name)


def log_of(checkout: Checkout, name: str, engine: str) -> list[str]:
    return (checkout.root / ".fullbatch" / "run" / name / f"{engine}.log").read_text(encoding="utf-8").splitlines()


def wait_says(checkout: Checkout, name: str, engine: str, line: str) -> None:
    wait_for(
        lambda: line in log_of(checkout, name, engine), 20, lambda: f"{line}, not {log_of(checkout, name, engine)}"
    )
