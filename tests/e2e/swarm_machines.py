"""Machines for a Swarm: Docker Engines in network, mount and process namespaces of their own, on a LAN of their own.

Nothing of them touches this machine's network, firewall or Docker. A machine's first process is the root of all that
runs in it, so ending that one is what a power cut is.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from tests.e2e.docker_stack import StackFailure, run
from tests.waiting import wait_for

Result = TypeVar("Result")
_NETWORK = 0x4000_0000  # CLONE_NEWNET
_SUBNET = "10.231.77"
# In the new namespaces: sockets and states of its own, and nobody to ask for a registry's address, which would take
# half a minute a task; then the engine, below an init that ends with it.
_BOOT = 'mount -t tmpfs tmpfs /run; mount --bind "$0" /etc/resolv.conf; exec "$@"'


class Lan:
    """A network namespace with a bridge that machines are plugged into; `here` runs something in it."""

    def __init__(self, name: str) -> None:
        self.name = name
        run("ip", "netns", "add", name)
        self.ip("link", "add", "lan", "type", "bridge")
        self.ip("addr", "add", f"{_SUBNET}.1/24", "dev", "lan")
        for device in ("lan", "lo"):
            self.ip("link", "set", device, "up")
        self._threads = ThreadPoolExecutor(32, "lan", self._enter)

    def ip(self, *words: str) -> None:
        run("ip", "-netns", self.name, *words)

    def begin(self, work: Callable[[], Result]) -> Future[Result]:
        """Have a thread do `work`, whose sockets are on the LAN."""
        return self._threads.submit(work)

    def here(self, work: Callable[[], Result]) -> Result:
        """The same, waited for."""
        return self.begin(work).result()

    def _enter(self) -> None:
        with Path(f"/run/netns/{self.name}").open() as namespace:
            if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _NETWORK):
                raise OSError(ctypes.get_errno(), "setns")

    def close(self) -> None:
        self._threads.shutdown()
        run("ip", "netns", "del", self.name)


class Machine:
    """One Docker Engine. `address` is its own on the LAN; `cards` are its generic resources."""

    def __init__(self, lan: Lan, number: int, folder: Path, environment: Mapping[str, str], cards: int) -> None:
        self.name = f"{lan.name}-{number}"
        self.address = f"{_SUBNET}.{10 + number}"
        self.folder, self._lan, self._env = folder, lan, dict(environment)
        self._cgroup = f"/{self.name}"
        self._pidfile = folder / "pid"
        folder.mkdir()
        run("ip", "netns", "add", self.name)
        run("ip", "link", "add", f"p{number}", "netns", lan.name, "type", "veth", "peer", "eth0", "netns", self.name)
        lan.ip("link", "set", f"p{number}", "master", "lan", "up")
        for words in (
            ["addr", "add", f"{self.address}/24", "dev", "eth0"],
            ["link", "set", "eth0", "up"],
            ["link", "set", "lo", "up"],
            ["route", "add", "default", "via", f"{_SUBNET}.1"],
        ):
            run("ip", "-netns", self.name, *words)
        self._boot(cards)

    def _boot(self, cards: int) -> None:
        socket = self.folder / "docker.sock"
        self._env |= {"DOCKER_HOST": f"unix://{socket}"}
        nobody = self.folder / "resolv.conf"
        nobody.write_text("nameserver 127.0.0.1\n", encoding="utf-8")
        alone = ["unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"]
        boot = ["sh", "-euc", f"hostname {self.name}; {_BOOT}", str(nobody), "docker-init", "-g", "--"]
        argv = ["nsenter", f"--net=/run/netns/{self.name}", *alone, *boot, "dockerd", "--host", f"unix://{socket}"]
        argv += ["--data-root", str(self.folder / "data"), "--cgroup-parent", self._cgroup, "--no-new-privileges"]
        for card in range(cards):
            argv += ["--node-generic-resource", f"gpu=GPU-{self.name}-{card}"]
        # No child of the tests': what it starts is nothing that a test has left behind.
        mine = ["setsid", "--fork", "sh", "-euc", 'echo $$ > "$0"; exec "$@"', str(self._pidfile)]
        with (self.folder / "dockerd.log").open("wb") as log:
            subprocess.run([*mine, *argv], env=self._env, stdout=log, stderr=log, check=True)
        wait_for(lambda: self._pidfile.exists() and self._pidfile.read_text(), 10, f"{self.name} has a first process")

    def wait(self) -> None:
        def answers() -> bool:
            assert self._lives(), (self.folder / "dockerd.log").read_text()[-3000:]
            try:
                return bool(self.docker("info", "--format", "{{.ServerVersion}}"))
            except StackFailure:
                return False

        wait_for(answers, 60, f"{self.name} answers")

    def docker(self, *words: str, timeout_s: float = 120, **more: str) -> str:
        """`docker` on this machine; `more` are variables."""
        return run("docker", *words, env=self._env | more, timeout_s=timeout_s)

    def fullbatch(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Our own command line, whose `docker` is this machine's."""
        argv = [sys.executable, "-m", "fullbatch", *words]
        return subprocess.run(argv, env=self._env, text=True, capture_output=True, timeout=120, check=False)

    def load(self, archive: Path) -> None:
        self.docker("load", "--quiet", "--input", str(archive), timeout_s=300)

    def cut_power(self) -> None:
        """Off the LAN, and every process of it gone at once."""
        run("ip", "-netns", self.name, "link", "set", "eth0", "down")
        self._end()

    def close(self) -> None:
        self._end()
        run("ip", "netns", "del", self.name)
        for path in Path("/sys/fs/cgroup").glob(f"*{self._cgroup}"):
            for folder in sorted((one for one in path.rglob("*") if one.is_dir()), key=lambda one: -len(one.parts)):
                folder.rmdir()
            path.rmdir()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self) -> None:
        """Its first process, and with that all others."""
        if self._lives():
            os.kill(int(self._pidfile.read_text()), signal.SIGKILL)
        wait_for(lambda: not self._lives() and not self._cgroup_members(), 30, f"{self.name} is gone")

    def _lives(self) -> bool:
        """The first process, by its words: a number may be somebody else's by now."""
        try:
            return str(self.folder).encode() in Path(f"/proc/{int(self._pidfile.read_text())}/cmdline").read_bytes()
        except (OSError, ValueError):
            return False

    def _cgroup_members(self) -> list[str]:
        found = Path("/sys/fs/cgroup").glob(f"*{self._cgroup}/**/cgroup.procs")
        return [number for path in found for number in path.read_text().split()]
