"""A running project, put under other images. `.env` is what the next start reads: the switch is its replacement."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from common.faults import did_you_mean
from fullbatch.core.errors import HostError, UsageError
from fullbatch.planning.plan import Plan
from fullbatch.runtime import dotenv, state_files
from fullbatch.runtime.base import Say
from fullbatch.runtime.compose import deployment, docker_cli, engine_flags_check, images, kept, pulling, rehearsal
from fullbatch.runtime.compose.deployment import ComposeDeployment
from fullbatch.runtime.compose.images import ImageSetting
from fullbatch.runtime.upgradable import Images, ImageWish, RunningImage, Target, Upgradable

if TYPE_CHECKING:
    from docker.models.containers import Container

KEPT = "fullbatch-kept"
STORE = "gateway-state/store"
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_SERVICE = "com.docker.compose.service"
# A build, or a start that waits for its one-shots (weights, mostly). What hangs longer is undone.
LIMIT_SECONDS = 3600.0


class ComposeUpgrade(Upgradable):
    """Only what runs is changed: services that nobody has started stay so."""

    def __init__(self, root: Path, profile: str) -> None:
        self.root, self.profile = root, profile
        self._settings = images.settings(root, profile)

    def images(self) -> dict[str, RunningImage]:
        running = {one.labels[_SERVICE]: one for one in deployment.containers() if one.status != "exited"}
        found = {}
        for setting in self._settings:
            container = next((running[name] for name in setting.services if name in running), None)
            if container:
                reference, identity = str(container.attrs["Config"]["Image"]), str(container.attrs["Image"])
                digest = docker_cli.digest(identity)
                found[setting.variable] = RunningImage(setting.name, reference, identity, digest)
        return found

    def services(self) -> dict[str, int]:
        return dict(Counter(one.labels[_SERVICE] for one in deployment.containers() if one.status != "exited"))

    def target(self, wish: ImageWish) -> dict[str, str]:
        running = self.images()
        found = {self._of(service).variable: reference for service, reference in wish.images.items()}
        if wish.tag:
            if not _TAG.fullmatch(wish.tag):
                raise UsageError(f"--to {wish.tag}: is no tag of an image; write one such as 0.2.0")
            ours = [one for one in self._settings if one.built and one.variable in running]
            found |= {one.variable: f"{_repository(one.reference(self.root))}:{wish.tag}" for one in ours}
        if not wish.tag and not wish.images:
            found = {one.variable: one.reference(self.root) for one in self._settings if one.variable in running}
        for variable in found:
            if os.environ.get(variable, found[variable]) != found[variable]:
                raise UsageError(f"{variable} is set in this shell and goes before .env; unset it first")
        return found

    def keep(self, images: Images, stamp: str) -> None:
        for one in images.values():
            docker_cli.call(["tag", one.id, f"{KEPT}/{one.service}:{stamp}"])

    def fetch(self, target: Target, say: Say) -> dict[str, str]:
        return {variable: self._fetched(variable, reference, say) for variable, reference in target.items()}

    def rehearse(self, target: Target, state: Mapping[str, bytes], say: Say) -> None:
        if images.ENGINE_IMAGE in target:
            engine_flags_check.check(self.root, self.profile, target[images.ENGINE_IMAGE], state, say)
        if images.GATEWAY_IMAGE in target:
            self._rehearse_gateway(target[images.GATEWAY_IMAGE], state, say)

    def _rehearse_gateway(self, reference: str, state: Mapping[str, bytes], say: Say) -> None:
        say(f"rehearsal: {reference} on a copy of the keys, without a network")
        path = f"rendered/{self.profile}/{rehearsal.SETTINGS}"
        settings = state.get(path) or (self.root / path).read_bytes()
        given = {rehearsal.SETTINGS: settings, rehearsal.STORE: state.get(STORE), rehearsal.KEYS: _keys(state)}
        folders = ("/var/lib/fullbatch", "/run/fullbatch", "/etc/fullbatch")
        words = ["run", "--rm", "--interactive", "--network=none", "--cap-drop=ALL", f"--user={kept.GATEWAY}"]
        words += ["--read-only", *(f"--tmpfs={one}:mode=1777" for one in ("/tmp", *folders))]
        text = Path(rehearsal.__file__).read_text(encoding="utf-8")
        words += ["--entrypoint=python", reference, "-c", text, *folders]
        files = {name: content for name, content in given.items() if content is not None}
        try:
            docker_cli.call(words, state_files.packed(files))
        except HostError as error:
            why = str(error).removeprefix("docker run: ")
            raise HostError(f"{reference} is not good for these keys, and nothing was changed: {why}") from None

    def switch(self, target: Target, say: Say) -> None:
        defaults = {one.variable: one.default for one in self._settings}
        named = {name: text for name, text in target.items() if text != defaults[name] or dotenv.value(self.root, name)}
        dotenv.keep(self.root, named)
        self.start(self.services(), say)

    def point_back(self, images: Images) -> None:
        for one in images.values():
            by_content = "@" in one.reference or one.reference.startswith("sha256:")
            if not by_content and docker_cli.identity(one.reference) != one.id:
                docker_cli.call(["tag", one.id, one.reference])

    def start(self, services: Mapping[str, int], say: Say) -> None:
        say(f"docker compose up: {', '.join(sorted(services))}")
        scale = [word for name, count in services.items() if count > 1 for word in ("--scale", f"{name}={count}")]
        self._compose("up", "--detach", "--no-build", "--pull=never", *scale, *sorted(services))

    def store(self, images: Images) -> bytes | None:
        return kept.read(self.root, _gateway_id(images)).get(STORE)

    def put_store(self, images: Images, content: bytes, say: Say) -> None:
        say("the key store was changed by the new version; its copy goes back")
        self._compose("stop", "gateway")
        kept.write(self.root, {STORE: content}, _gateway_id(images))

    def deployment(self, plan: Plan) -> ComposeDeployment:
        return _Upgraded(self.root, plan, deployment.published_gateway())

    def _of(self, service: str) -> ImageSetting:
        for one in self._settings:
            if service in one.services:
                return one
        names = sorted(one.name for one in self._settings)
        listing = ", ".join(names)
        raise UsageError(f"--image {service}: no such service{did_you_mean(service, names)}; there are: {listing}")

    def _fetched(self, variable: str, reference: str, say: Say) -> str:
        setting = next(one for one in self._settings if one.variable == variable)
        if setting.built and reference == setting.default:
            say(f"building {reference} from this checkout")
            self._compose("build", setting.name)
        elif docker_cli.identity(reference) is None:
            say(f"pulling {reference}")
            try:
                pulling.pull(reference)
            except HostError as error:
                raise HostError(f"{reference}: is not here and cannot be pulled: {error}") from None
        found = docker_cli.identity(reference)
        if found is None:
            raise HostError(f"{reference}: is not here; look at `docker image ls`")
        return found

    def _compose(self, *words: str) -> None:
        digest = deployment.config_digest(self.root, self.profile)
        # What runs is known by its project, whatever this shell says of a profile.
        environment = os.environ | {"PROFILE": self.profile, deployment.DIGEST: digest}
        command = ["docker", "compose", "--project-name", dotenv.project(self.root), *words]
        docker_cli.run(command, self.root, environment, timeout=LIMIT_SECONDS)


class _Upgraded(ComposeDeployment):
    """What was started again some time before, and has gone on since, is no fault of the new version."""

    def __init__(self, root: Path, plan: Plan, url: str | None) -> None:
        super().__init__(root, plan, dotenv.gateway_port(root))
        self.gateway_url = url or self.gateway_url
        self._restarts = {str(one.id): int(one.attrs.get("RestartCount", 0)) for one in deployment.containers()}

    def restarts(self, container: Container) -> int:
        return super().restarts(container) - self._restarts.get(str(container.id), 0)


def forget(stamp: str) -> None:
    """Take away the tags that kept the images of one backup."""
    listed = docker_cli.call(["image", "ls", "--format", "{{.Repository}}:{{.Tag}}", f"{KEPT}/*:{stamp}"])
    for name in listed.decode().split():
        docker_cli.call(["image", "rm", name])


def _repository(reference: str) -> str:
    """Without tag and digest; a port of a registry stays."""
    name = reference.partition("@")[0]
    head, _, last = name.rpartition("/")
    last = last.partition(":")[0]
    return f"{head}/{last}" if head else last


def _gateway_id(images_of: Images) -> str | None:
    known = images_of.get(images.GATEWAY_IMAGE)
    return known.id if known else None


def _keys(state: Mapping[str, bytes]) -> bytes | None:
    return state.get("secrets-gateway/api_keys")
