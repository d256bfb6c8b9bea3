"""The services `chat` and `tls` of compose.yaml in a real Docker Engine, with stand-ins for the images, and no engine.

What only the real programs show is tried beside: test_chat.py and test_tls.py.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest

from tests.e2e.docker_stack import Stack, StackFailure, run
from tests.ports import free_port
from tests.waiting import wait_for

pytestmark = [pytest.mark.docker, pytest.mark.timeout(1200)]


class Front(Stack):
    """Gateway, chat and HTTPS."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        super().__init__(environment, folder, grafana=True)
        self.project += "-front"
        self.chat = f"http://127.0.0.1:{(chat := free_port())}"
        self.tls_port = free_port()
        self.chat_tls_port = free_port()
        self.chat_url = f"https://localhost:{self.chat_tls_port}"
        self._env |= {"COMPOSE_PROFILES": "chat,tls", "CHAT_PORT": str(chat), "TLS_PORT": str(self.tls_port)}
        self._env |= {"CHAT_TLS_PORT": str(self.chat_tls_port), "CHAT_URL": self.chat_url}

    def start(self, *services: str) -> None:
        try:
            self.compose("up", "--detach", "--wait", "--wait-timeout", "300", *services)
        except StackFailure as failure:
            raise StackFailure(f"{failure}\n{self.compose('logs', '--no-color', '--tail', '40')}") from None

    def ca(self) -> str:
        return self.compose("exec", "-T", "tls", "cat", "/data/pki/authorities/local/root.crt")


@pytest.fixture(scope="module")
def front(
    docker_environment: dict[str, str],
    in_the_open: Callable[[], AbstractContextManager[None]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Front]:
    stack = Front(docker_environment, tmp_path_factory.mktemp("fullbatch"))
    with in_the_open():
        for name in ("python", "caddy", "openwebui/open-webui"):
            run("scripts/offline-images", "--only", name, env=docker_environment, timeout_s=900, show=True)
    stack.compose("build", "gateway", timeout_s=900)
    try:
        stack.start("chat", "tls")
        yield stack
    finally:
        stack.compose("down", "--volumes", "--remove-orphans", timeout_s=120)


def test_the_chat_asks_with_a_trusted_key_that_only_its_volume_has(front: Front) -> None:
    answer = httpx.get(f"{front.chat}/models/alice")
    assert answer.status_code == 200 and [one["id"] for one in answer.json()["data"]] == ["tiny"]
    shown = front.compose("exec", "-T", "gateway", "cat", "/run/fullbatch/api_keys").splitlines()
    (line,) = [line for line in shown if " open-webui" in line]
    assert line.endswith(" open-webui trusted")
    logs = front.compose("logs", "--no-color")
    assert not [line for line in shown if line.split()[0] in logs]


def test_nothing_of_them_is_reached_from_another_machine_by_itself(front: Front) -> None:
    for service in ("chat", "tls", "gateway"):
        (one,) = front.containers(service)
        bound = [each["HostIp"] for found in one["NetworkSettings"]["Ports"].values() for each in found or []]
        ports = 2 if service == "tls" else 1  # the gateway's and the chat's
        assert bound == ["127.0.0.1"] * ports, service
        host = one["HostConfig"]
        assert host["CapDrop"] == ["ALL"] and host["ReadonlyRootfs"] and not host["Privileged"], service
        assert "no-new-privileges:true" in host["SecurityOpt"] and one["Config"]["User"] == "10001:0", service
        assert (host["CapAdd"] or []) == (["CAP_NET_BIND_SERVICE"] if service == "tls" else []), service


def test_https_is_served_and_its_ca_is_kept_when_the_container_is_made_anew(front: Front) -> None:
    root, url = front.ca(), f"https://127.0.0.1:{front.tls_port}/livez"
    context = ssl.create_default_context(cadata=root)
    assert httpx.get(url, verify=context).status_code == 200
    assert httpx.get(f"https://localhost:{front.tls_port}/livez", verify=context).status_code == 200
    front.compose("rm", "--stop", "--force", "tls")
    front.start("tls")
    assert front.ca() == root
    wait_for(lambda: httpx.get(url, verify=context).status_code == 200, 20, "HTTPS with the same CA")


def test_the_chat_is_behind_https_too_and_knows_it(front: Front) -> None:
    answer = httpx.get(f"{front.chat_url}/models/alice", verify=ssl.create_default_context(cadata=front.ca()))
    assert answer.status_code == 200 and [one["id"] for one in answer.json()["data"]] == ["tiny"]
    chat = json.loads(front.compose("config", "--format", "json"))["services"]["chat"]["environment"]
    assert chat["CORS_ALLOW_ORIGIN"].split(";")[-1] == chat["WEBUI_URL"] == front.chat_url
    assert chat["WEBUI_SESSION_COOKIE_SECURE"] == chat["WEBUI_AUTH_COOKIE_SECURE"] == "true"
    url = front._env.pop("CHAT_URL")
    try:
        plain = json.loads(front.compose("config", "--format", "json"))["services"]["chat"]["environment"]
    finally:
        front._env["CHAT_URL"] = url
    assert plain["WEBUI_SESSION_COOKIE_SECURE"] == plain["WEBUI_AUTH_COOKIE_SECURE"] == plain["WEBUI_URL"] == ""
    assert "https" not in plain["CORS_ALLOW_ORIGIN"]


def test_fullbatch_trust_finds_it(front: Front) -> None:
    said = front.fullbatch("trust", "--json")
    assert said.returncode == 0, said.stderr
    found = json.loads(said.stdout)
    assert Path(found["root"]).read_text() == front.ca()


def test_an_address_for_others_needs_a_word_on_what_it_is_for(front: Front) -> None:
    env = dict(front._env)
    front._env |= {"FULLBATCH_BIND": "0.0.0.0"}
    try:
        with pytest.raises(StackFailure, match="FULLBATCH_BIND is for HTTPS and needs FULLBATCH_TLS=local"):
            front.compose("config", "--quiet")
        front._env |= {"FULLBATCH_TLS": "local"}
        ports = json.loads(front.compose("config", "--format", "json"))["services"]
        assert [ports[name]["ports"][0].get("host_ip") for name in ("gateway", "tls")] == ["127.0.0.1", "0.0.0.0"]
        del front._env["FULLBATCH_BIND"]
        front._env |= {"FULLBATCH_PLAIN_BIND": "0.0.0.0"}
        ports = json.loads(front.compose("config", "--format", "json"))["services"]
        assert [ports[name]["ports"][0].get("host_ip") for name in ("gateway", "tls")] == ["0.0.0.0", "127.0.0.1"]
    finally:
        front._env = env
