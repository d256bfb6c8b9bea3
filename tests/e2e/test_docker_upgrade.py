"""Upgrades in a real Docker Engine: good ones under load, bad ones that undo themselves, a kill, and Docker's restart.

One stack for all, in the order written here: gateway and a stand-in engine, in several images each.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.e2e import upgrade_images
from tests.e2e.docker_stack import ROOT, Stack, StackFailure, get, run
from tests.waiting import wait_for

pytestmark = [pytest.mark.docker, pytest.mark.timeout(1500)]


class SmallStack(Stack):
    """Gateway and stand-in engine alone."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        super().__init__(environment, folder, grafana=False)
        self._files = ["compose.yaml", "tests/e2e/compose.stand-in.yaml"]
        self._env.pop("COMPOSE_PROFILES")
        settings = f"PROFILE=cpu-tiny\nGATEWAY_PORT={self._env.pop('GATEWAY_PORT')}\n"
        (self.root / ".env").write_text(f"{settings}FULLBATCH_ENGINE_IMAGE=fullbatch-e2e/engine:one\n")

    def ids(self) -> dict[str, str]:
        """Service -> id of the image that runs."""
        try:
            found = {one["Config"]["Labels"]["com.docker.compose.service"]: one for one in self.containers()}
        except StackFailure:  # one has gone between the list and the look
            return {}
        return {
            name: found[name]["Image"]
            for name in ("engine", "gateway")
            if name in found and found[name]["State"]["Running"]
        }

    def image(self, name: str) -> str:
        return self.docker("image", "inspect", "--format", "{{.Id}}", name).strip()

    def started(self, *words: str) -> subprocess.Popen[str]:
        files = {"COMPOSE_FILE": ":".join(self._files), "COMPOSE_PROJECT_NAME": self.project}
        return subprocess.Popen(
            [sys.executable, "-m", "fullbatch", *words], cwd=self.root, env=self._env | files,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def books(self) -> tuple[list[str], dict[str, int]]:
        """Names of the keys, and how many requests alice has made."""
        keys = json.loads(self.fullbatch("keys", "list", "--json").stdout)
        usage = self.fullbatch("usage", "--json").stdout
        return [one["name"] for one in keys], {one["key"]: one["requests"] for one in json.loads(usage)}


class Load:
    """A few people who stream all the time: whole answers, refusals that one may repeat, and answers that were cut."""

    def __init__(self, stack: SmallStack, key: str) -> None:
        self.whole, self.refused, self.cut = 0, 0, list[str]()
        self.longest_gap = 0.0
        self._last = time.monotonic()
        self._at = urlsplit(stack.gateway)
        self._key = key
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._person) for _ in range(4)]

    def __enter__(self) -> Load:
        for one in self._threads:
            one.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for one in self._threads:
            one.join(60)

    def _person(self) -> None:
        while not self._over.is_set():
            connection = http.client.HTTPConnection(self._at.hostname or "", self._at.port, timeout=60)
            with contextlib.closing(connection):
                self._ask(connection)
            time.sleep(0.1)

    def _ask(self, connection: http.client.HTTPConnection) -> None:
        began = False
        body = json.dumps({"model": "tiny", "prompt": "hello", "max_tokens": 8, "stream": True})
        head = {"authorization": f"Bearer {self._key}", "content-type": "application/json"}
        try:
            connection.request("POST", "/v1/completions", body, head)
            reply = connection.getresponse()
            began = reply.status == 200
            text = reply.read().decode()
        except (OSError, http.client.HTTPException) as error:
            if began:
                self.cut.append(repr(error))
            self.refused += 1
            return
        if began and "data: [DONE]" in text:
            self._answered()
        elif began:
            self.cut.append(text[-200:])
        else:
            assert reply.status == 503 and int(reply.headers["retry-after"]) > 0, (reply.status, text)
            self.refused += 1

    def _answered(self) -> None:
        now = time.monotonic()
        self.longest_gap, self._last = max(self.longest_gap, now - self._last), now
        self.whole += 1


@pytest.fixture(scope="module")
def stack(
    docker_environment: dict[str, str],
    in_the_open: Callable[[], AbstractContextManager[None]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[SmallStack]:
    made = SmallStack(docker_environment, tmp_path_factory.mktemp("fullbatch"))
    with in_the_open():
        run("scripts/offline-images", "--only", "python", env=docker_environment, timeout_s=600, show=True)
    made.compose("build", "gateway", timeout_s=900)
    upgrade_images.build(docker_environment, tmp_path_factory.mktemp("images"))
    try:
        made.up()
        yield made
    finally:
        made.compose("down", "--volumes", "--remove-orphans", timeout_s=120)
        upgrade_images.remove(docker_environment)


@pytest.fixture(scope="module")
def alice(stack: SmallStack) -> str:
    key: str = json.loads(stack.fullbatch("keys", "create", "alice", "--json").stdout)["key"]
    head = {"authorization": f"Bearer {key}"}
    ask = {"model": "tiny", "prompt": "hello", "max_tokens": 5}
    wait_for(lambda: get(f"{stack.gateway}/v1/completions", data=ask, headers=head).status == 200, 20, "her key known")
    wait_for(lambda: stack.books()[1].get("alice"), 10, "her usage written")
    return key


def test_a_good_one_under_load_and_back(stack: SmallStack, alice: str) -> None:
    old = stack.ids()
    dry = stack.fullbatch("upgrade", "--to", "good", "--dry-run")
    assert dry.returncode == 0 and "gateway: fullbatch/gateway:local -> fullbatch/gateway:good" in dry.stdout, (
        dry.stderr
    )
    with Load(stack, alice) as load:
        wait_for(lambda: load.whole > 10, 20, "answers before")
        done = stack.fullbatch("upgrade", "--to", "good")
        assert done.returncode == 0, done.stdout + done.stderr
        before = load.whole
        wait_for(lambda: load.whole > before + 10, 20, "answers after")
    assert load.cut == [] and load.longest_gap < 40, (load.cut, load.longest_gap)
    assert stack.ids() == old | {"gateway": stack.image("fullbatch/gateway:good")}
    assert "FULLBATCH_GATEWAY_IMAGE=fullbatch/gateway:good\n" in (stack.root / ".env").read_text()
    back = stack.fullbatch("rollback")
    assert back.returncode == 0, back.stdout + back.stderr
    assert stack.ids() == old and "FULLBATCH_GATEWAY_IMAGE" not in (stack.root / ".env").read_text()
    assert stack.books()[0] == ["alice"]
    again = stack.fullbatch("rollback")
    assert again.returncode == 6 and "already" in again.stderr, again.stderr


BAD = {
    "--to exits": (4, "nothing was changed: it ends at once with exit code 1: settings of another time"),
    "--to nowhere": (4, "fullbatch/gateway:nowhere: is not here and cannot be pulled"),
    "--image motor=x": (2, "--image motor: no such service"),
    "--image engine=fullbatch-e2e/engine:dropped": (
        4,
        "nothing was changed: engine: vllm: error: unrecognized arguments: --load-format dummy",
    ),
    "--to garbage": (1, "it says that it is healthy and gives no token: 200 garbage"),
    "--image engine=fullbatch-e2e/engine:half": (1, "its KV cache holds 262,144 tokens, 524,288 are planned"),
}


@pytest.mark.usefixtures("alice")
def test_bad_ones_end_as_they_began(stack: SmallStack) -> None:
    old, books, settings = stack.ids(), stack.books(), (stack.root / ".env").read_text()
    for words, (code, why) in BAD.items():
        done = stack.fullbatch("upgrade", *words.split())
        assert done.returncode == code and why in done.stderr, (words, done.stdout + done.stderr)
        assert stack.ids() == old and (stack.root / ".env").read_text() == settings, words
        assert not (stack.root / ".fullbatch/upkeep/journal.json").exists(), words
        if code == 1:
            names, usage = stack.books()
            assert names == books[0] and usage["alice"] == books[1]["alice"], words
    assert stack.fullbatch("status").returncode == 0


def test_one_that_is_killed_is_undone_by_the_next_command(stack: SmallStack, alice: str) -> None:
    old = stack.ids()
    with stack.started("upgrade", "--image", "gateway=fullbatch/gateway:garbage") as going:
        assert going.stdout is not None
        for line in going.stdout:
            if "docker compose up" in line:
                break
        garbage = stack.image("fullbatch/gateway:garbage")
        wait_for(lambda: stack.ids().get("gateway") == garbage, 60, "the new one")
        second = stack.fullbatch("backup")
        assert second.returncode == 6 and "fullbatch upgrade (process " in second.stderr, second.stderr
        os.kill(going.pid, signal.SIGKILL)
    undone = stack.fullbatch("up", "cpu-tiny", "--runtime", "compose")
    assert undone.returncode == 0 and "was cut off; going back" in undone.stdout, undone.stdout + undone.stderr
    assert stack.ids() == old and stack.books()[0] == ["alice"]
    ask = {"model": "tiny", "prompt": "hello", "max_tokens": 5}
    head = {"authorization": f"Bearer {alice}"}
    assert get(f"{stack.gateway}/v1/completions", data=ask, headers=head).status == 200


def test_keys_go_to_another_project_by_backup_and_restore(stack: SmallStack, tmp_path: Path) -> None:
    saved = stack.fullbatch("backup", str(tmp_path / "b.tar.gz"))
    assert saved.returncode == 0 and "compose/gateway-state/store (version " in saved.stdout, saved.stderr
    refused = stack.fullbatch("restore", str(tmp_path / "b.tar.gz"))
    assert refused.returncode == 6 and "is running; first: fullbatch down" in refused.stderr
    other = f"{stack.project}-b"
    back = stack.fullbatch("restore", str(tmp_path / "b.tar.gz"), project=other)
    try:
        assert back.returncode == 0, back.stderr
        words = ("--entrypoint", "python", "--user", "10001:0", "--volume", f"{other}_gateway-state:/s")
        listed = stack.docker(
            "run", "--rm", *words, upgrade_images.GATEWAY, "-m", "gateway.keys", "--store", "/s/store", "list"
        )
        assert "alice" in listed
    finally:
        stack.docker("compose", "--project-name", other, "down", "--volumes")


def test_a_leaked_first_key_is_made_anew(stack: SmallStack) -> None:
    """As docs/operating.md says: the file goes, and the one-shot makes what is missing."""
    leaked = stack.secret("first")
    ask = {"model": "tiny", "prompt": "hello", "max_tokens": 5}

    def status(key: str) -> int:
        return get(f"{stack.gateway}/v1/completions", data=ask, headers={"authorization": f"Bearer {key}"}).status

    stack.compose("run", "--rm", "--no-deps", "--entrypoint=rm", "secrets", "/secrets/api_keys")
    stack.compose("run", "--rm", "secrets")
    new = stack.secret("first")
    assert new != leaked
    wait_for(lambda: (status(leaked), status(new)) == (401, 200), 30, "the old one out, the new one in")


def test_it_comes_back_after_dockers_own_restart(
    stack: SmallStack, alice: str, docker_environment: dict[str, str]
) -> None:
    if not (ROOT / ".fullbatch/docker/dockerd.pid").exists():
        pytest.skip("the Docker Engine is the host's; it is left alone")
    # As a shell has it that knows nothing of that engine.
    plain = {name: text for name, text in docker_environment.items() if name not in ("DOCKER_HOST", "DOCKER_CONFIG")}
    plain["PATH"] = ":".join(one for one in plain["PATH"].split(":") if ".fullbatch/docker" not in one)
    run("scripts/docker-engine", "stop", env=plain)
    run("scripts/docker-engine", "start", env=plain)
    ask = {"model": "tiny", "prompt": "hello", "max_tokens": 5}
    head = {"authorization": f"Bearer {alice}"}

    def answers() -> bool:
        try:
            return get(f"{stack.gateway}/v1/completions", data=ask, headers=head).status == 200
        except OSError:
            return False

    wait_for(answers, 60, "a token after the restart")
