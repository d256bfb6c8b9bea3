"""Launchers as programs of their own, with fake engines, and what to ask them."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from tests.ports import free_port
from tests.waiting import wait_for, wait_until

ROOT = Path(__file__).parents[2]
START_S = 30.0


def model(name: str, port: int, sleep: bool = False, **knobs: Any) -> dict[str, Any]:
    """An entry of launcher.json: a fake engine that serves one model."""
    options = [f"--{knob.replace('_', '-')}={value}" for knob, value in knobs.items()]
    command = [sys.executable, "-m", "tests.fakes.engine", f"--port={port}", f"--model={name}", *options]
    listen = {"host": "127.0.0.1", "port": port}
    return {"name": name, "command": command, "listen": listen, "sleep": sleep, "stop_timeout_s": 5}


def two(**first: Any) -> list[dict[str, Any]]:
    """Models a, which sleeps, and b, which does not."""
    return [model("a", free_port(), **({"sleep": True} | first)), model("b", free_port())]


class Launcher:
    """One that runs. ``folder`` is short, since a socket's path is."""

    def __init__(self, folder: Path, models: list[dict[str, Any]], **more: Any) -> None:
        self.folder = folder
        self.socket = folder / "c.sock"
        self.file = folder / "launcher.json"
        self.models = {one["name"]: one for one in models}
        self.write(models, **more)
        self._process: subprocess.Popen[bytes]
        self.start()

    def write(self, models: list[dict[str, Any]], **more: Any) -> None:
        self.file.write_text(json.dumps({"card": "card0", "socket": str(self.socket), "models": models} | more))

    def start(self) -> None:
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        with (self.folder / "launcher.log").open("ab") as log:
            command = [sys.executable, "-m", "launcher", str(self.file)]
            self._process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        wait_until(lambda: self.ask("GET", "/state")[0] == 200, START_S, self.log)

    def log(self) -> str:
        return (self.folder / "launcher.log").read_text()

    def ask(self, method: str, path: str) -> tuple[int, dict[str, Any]]:
        connection = http.client.HTTPConnection("launcher", timeout=20)
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.sock.connect(str(self.socket))
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def do(self, name: str, action: str, until: str, within_s: float = START_S) -> dict[str, Any]:
        """Ask for an action and wait for the state that it is to come to."""
        status, body = self.ask("POST", f"/models/{name}/{action}")
        assert status == 202, body
        return self.wait(name, until, within_s)

    def wait(self, name: str, state: str, within_s: float = START_S) -> dict[str, Any]:
        return wait_for(lambda: found if (found := self.of(name))["state"] == state else None, within_s, self.log)

    def of(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("GET", "/state")[1]["models"][name]
        return found

    def engine(self, name: str) -> str:
        """The URL of a model's fake engine."""
        return f"http://127.0.0.1:{self.models[name]['listen']['port']}"

    def turn(self, name: str, **knobs: Any) -> None:
        httpx.post(f"{self.engine(name)}/fake/knobs", json=knobs).raise_for_status()

    def kill(self) -> None:
        """Without a word to its engines."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> int:
        self._process.terminate()
        return self._process.wait(30)


def gone(pid: int) -> bool:
    """Whether a process has ended, listed or not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state in "ZX"
