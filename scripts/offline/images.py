"""Builds the stand-ins: each carries the digest of what it was made from, so a second run does nothing."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from scripts.offline import debian, standins
from scripts.offline.engine import EngineHome
from scripts.offline.process import OfflineError, Say, output, stream
from scripts.offline.standins import StandIn

LABEL = "fullbatch.offline.inputs"
TRUST = Path("/etc/ssl/certs/ca-certificates.crt")
DOCKERFILES = Path(__file__).parent / "images"


class Builder:
    """Builds stand-ins into one Docker Engine, reached through `environment`."""

    def __init__(self, place: EngineHome, environment: Mapping[str, str], say: Say) -> None:
        self._place = place
        self._env = {**os.environ, **environment}
        self._say = say

    def build(self, *, only: str | None = None, force: bool = False) -> None:
        """Builds what is missing or stale. Raises OfflineError for an unknown name or a failed build."""
        wanted = [chosen(only)] if only else list(standins.STAND_INS)
        for number, image in enumerate(wanted, 1):
            self._ensure(image, f"images {number}/{len(wanted)}: {image.name}", force)
        if not only:
            for name, why in standins.WITHOUT.items():
                self._say(f"images: {name}: no stand-in; {why}")

    def listing(self) -> list[str]:
        """One line per stand-in: its name, whether it is built, what it is."""
        lines = [f"{image.name:40} {self._state(image):12} {image.about}" for image in standins.STAND_INS]
        return lines + [f"{name:40} {'none':12} {why}" for name, why in standins.WITHOUT.items()]

    def _state(self, image: StandIn) -> str:
        label = self._label(image.name)
        return {None: "not built", "": "public"}.get(label, "built")

    def _ensure(self, image: StandIn, title: str, force: bool) -> None:
        digest = self._digest(image, [self._context(name) for name in image.inputs])
        label = self._label(image.name)
        if label == digest and not force:
            self._say(f"{title}: is there ({self._size(image.name)})")
            return
        if label == "" and not force:
            self._say(f"{title}: an image of this name that is no stand-in is there; left alone (--force replaces it)")
            return
        self._ensure_base(force=False)
        began = time.monotonic()
        before = self._inspect(image.name, "{{.Id}}") if label else None
        self._say(f"{title}: building from {image.about}")
        self._docker_build(image, digest)
        if before and before != self._inspect(image.name, "{{.Id}}"):
            self._remove(before)
        self._say(
            f"{title}: built in {time.monotonic() - began:.0f} s ({self._size(image.name)}, shared layers included)"
        )

    def _docker_build(self, image: StandIn, digest: str) -> None:
        argv = ["docker", "build", "--progress", "plain", "--tag", image.name, "--label", f"{LABEL}={digest}"]
        for name in image.contexts:
            argv += ["--build-context", f"{name}={self._context(name)}"]
        if "links" in image.contexts and not self._torch_wheels():
            self._say(
                "images:   no CPU wheel of PyTorch in pip's folders here (PIP_FIND_LINKS); asking PyTorch's own index"
            )
            argv += ["--build-arg", "TORCH=cpu"]
        with tempfile.TemporaryDirectory() as nothing:
            argv += ["--file", str(DOCKERFILES / image.dockerfile), nothing]
            log = self._place.home / "logs" / f"{image.dockerfile}.log"
            stream(argv, env=self._env, log=log, line_seen=self._say_step)

    def _say_step(self, line: str) -> None:
        step = re.match(r"#\d+ (\[\S* ?\d+/\d+\] (?:RUN|COPY) .{0,60})", line)
        if step:
            self._say(f"images:   {step[1]}")

    def _ensure_base(self, *, force: bool) -> None:
        recipe = repr((standins.BASE_SUITE, standins.BASE_PACKAGES, standins.BASE_LEAVES_OUT))
        digest = hashlib.sha256(recipe.encode()).hexdigest()
        if self._label(standins.BASE) == digest and not force:
            return
        if not debian.is_root():
            raise OfflineError("debootstrap needs root; run scripts/offline-images as root")
        if not shutil.which("debootstrap", path=self._env["PATH"]):
            self._say("images: installing debootstrap with apt")
            debian.install(["debootstrap"], self._place.home / "logs/apt.log")
        self._say(f"images: making a Debian {standins.BASE_SUITE} base with debootstrap (about a minute)")
        began = time.monotonic()
        with tempfile.TemporaryDirectory(dir=self._place.home) as folder:
            self._debootstrap(Path(folder), digest)
        self._say(f"images: base made in {time.monotonic() - began:.0f} s ({self._size(standins.BASE)})")

    def _debootstrap(self, folder: Path, digest: str) -> None:
        # In a mount namespace of its own: what debootstrap mounts below `root` is gone when it ends, however it ends.
        argv = [
            "unshare",
            "--mount",
            "debootstrap",
            "--variant=minbase",
            f"--include={','.join(standins.BASE_PACKAGES)}",
        ]
        argv += [standins.BASE_SUITE, str(folder / "root"), debian.mirror()]
        output(argv, env=self._env, log=self._place.home / "logs/debootstrap.log", timeout_s=1800)
        archive = folder / "root.tar"
        left_out = [f"--exclude={pattern}" for pattern in standins.BASE_LEAVES_OUT]
        output(["tar", "-C", str(folder / "root"), *left_out, "-cf", str(archive), "."], timeout_s=600)
        changes = ["--change", f"LABEL {LABEL}={digest}", "--change", 'CMD ["bash"]']
        output(["docker", "import", *changes, str(archive), standins.BASE], env=self._env)

    def _context(self, name: str) -> Path:
        folder = self._place.home / "contexts" / name
        match name:
            case "files":
                return DOCKERFILES
            case "tools":
                output([str(self._place.root / "scripts/prometheus-tools")], env=self._env)
                return self._place.root / ".fullbatch/tools/bin"
            case "lock":
                _only(folder, [self._place.root / "requirements/engine-cpu.txt"])
            case "installer":
                _only(folder, [self._place.root / "requirements/uv.txt"])
            case "links":
                _only(folder, self._torch_wheels())
            case "caddy":
                _only(folder, [self._place.root / ".venv/bin/caddy"])
            case "trust":
                _only(folder, [TRUST])
        return folder

    def _torch_wheels(self) -> list[Path]:
        return torch_wheels(self._place.root / "requirements/engine-cpu.txt", pip_links())

    def _digest(self, image: StandIn, inputs: list[Path]) -> str:
        digest = hashlib.sha256((DOCKERFILES / image.dockerfile).read_bytes())
        digest.update(repr((standins.BASE_SUITE, standins.BASE_PACKAGES, standins.BASE_LEAVES_OUT)).encode())
        for folder in inputs:
            for file in sorted(folder.iterdir()):
                with file.open("rb") as content:
                    digest.update(hashlib.file_digest(content, "sha256").digest())
        return digest.hexdigest()

    def _label(self, name: str) -> str | None:
        """The digest an image carries; "" for one that is not ours, None for no such image."""
        return self._inspect(name, f'{{{{index .Config.Labels "{LABEL}"}}}}')

    def _size(self, name: str) -> str:
        return f"{int(self._inspect(name, '{{.Size}}') or 0) / 1e6:,.0f} MB"

    def _inspect(self, name: str, template: str) -> str | None:
        try:
            return output(["docker", "image", "inspect", "--format", template, name], env=self._env)
        except OfflineError:
            return None

    def _remove(self, superseded: str) -> None:
        try:
            output(["docker", "image", "rm", superseded], env=self._env)
        except OfflineError as error:
            self._say(f"images:   the superseded image stays ({error})")


def chosen(name: str) -> StandIn:
    """The stand-in of that name, with or without its tag; raises OfflineError naming the known ones."""
    for image in standins.STAND_INS:
        if name in (image.name, image.name.partition(":")[0]):
            return image
    known = ", ".join(image.name for image in standins.STAND_INS)
    raise OfflineError(f"--only {name}: no such stand-in; known: {known}")


def pip_links() -> list[Path]:
    """The folders that this host's pip is configured to look into (`find-links`)."""
    words = os.environ.get("PIP_FIND_LINKS", "").split()
    try:
        words += output(["python3", "-m", "pip", "config", "get", "global.find-links"]).split()
    except OfflineError:
        pass  # pip has no such setting, or there is no pip: then only the variable counts
    paths = (Path(word.removeprefix("file://")) for word in words if "://" not in word or word.startswith("file://"))
    return [path for path in paths if path.is_dir()]


def torch_wheels(lock: Path, folders: list[Path]) -> list[Path]:
    """PyTorch's CPU wheel for Python 3.11 in the version that `lock` pins: one, or none when no folder has it."""
    pinned = re.search(r"^torch==(\S+)", lock.read_text(), re.MULTILINE)
    if pinned is None:
        raise OfflineError(f"{lock}: no line torch==VERSION")
    return [wheel for folder in folders for wheel in folder.glob(f"torch-{pinned[1]}-cp311-*_x86_64.whl")][:1]


def _only(folder: Path, files: list[Path]) -> None:
    """Makes `folder` hold copies of these files and nothing else (a build context follows no links out of itself)."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file in files:
        shutil.copy2(file, folder / file.name)
