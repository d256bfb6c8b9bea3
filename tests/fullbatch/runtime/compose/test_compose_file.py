"""compose.yaml and what it includes, as Compose sees them: what reaches the network, and what must ask no proxy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from fullbatch.runtime.compose import config
from tests.fullbatch.checkout import REPOSITORY


def _service(name: str, service: str, monkeypatch: pytest.MonkeyPatch, **environment: str) -> dict[str, Any]:
    """A service of a shipped profile as Compose sees it with these variables."""
    command = config.compose_program()
    if command is None:
        pytest.skip("Docker Compose is not installed here")
    for variable in ("HF_ENDPOINT", "HF_TOKEN", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "https_proxy", "http_proxy"):
        monkeypatch.delenv(variable, raising=False)
    done = subprocess.run(
        [*command, "--profile", "*", "config", "--format", "json"], cwd=REPOSITORY, timeout=60, check=True,
        env=os.environ | {"PROFILE": name} | environment, capture_output=True, text=True,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)["services"][service]
    return found


def test_what_a_download_needs_of_the_network_reaches_it(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"HF_ENDPOINT": "https://mirror.example", "HTTPS_PROXY": "http://proxy.corp:3128", "no_proxy": "a.b"}
    own = {"FULLBATCH_CA_FILE": "/etc/ca.pem", "FULLBATCH_HF_HOME": "/home/me/.cache/huggingface"}
    model = _service("cpu", "model", monkeypatch, **given, **own)
    assert model["environment"]["HF_ENDPOINT"] == "https://mirror.example"
    assert model["environment"]["VIA_HTTPS"] == "http://proxy.corp:3128"
    assert (model["environment"]["VIA_HTTP"], model["environment"]["NOT_VIA"]) == ("", "a.b")
    mounted = {one["target"]: one["source"] for one in model["volumes"]}
    assert mounted["/etc/fullbatch/ca.pem"] == "/etc/ca.pem"
    assert mounted["/models/hf"] == "/home/me/.cache/huggingface"
    engine = _service("cpu", "engine", monkeypatch, **given, **own)
    weights = next(one for one in engine["volumes"] if one["target"] == "/models/hf")
    assert (weights["source"], weights["read_only"]) == ("/home/me/.cache/huggingface", True)
    assert "mirror" not in str(engine["environment"])


def test_without_any_of_it_the_volume_and_no_empty_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    model = _service("cpu", "model", monkeypatch)
    assert model["environment"]["HF_ENDPOINT"] is None, "an empty one would be taken for the hub's address"
    assert not {"HTTPS_PROXY", "https_proxy", "SSL_CERT_FILE"} & set(model["environment"]), (
        "they would take away what Docker's own configuration gives"
    )
    assert {one["target"]: one["source"] for one in model["volumes"]}["/models"] == "models"


def test_the_downloads_own_shell_passes_on_only_what_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    (script,) = _service("cpu", "model", monkeypatch)["command"]
    script = script.replace("$$", "$").replace("exec python3 /fullbatch/fetch.py", "env; echo")
    for given in ({}, {"VIA_HTTPS": "http://p:1", "HTTP_PROXY": "http://docker:2"}):
        environment = {"PATH": "/usr/bin:/bin", "VIA_HTTP": "", "VIA_HTTPS": "", "NOT_VIA": ""} | given
        script = script.replace("chmod 0775 /cache;", "")
        done = subprocess.run(
            ["/bin/sh", "-euc", script], env=environment, capture_output=True, text=True, timeout=10, check=True
        )
        said = set(done.stdout.splitlines())
        assert ("https_proxy=http://p:1" in said) == bool(given)
        assert ("HTTP_PROXY=http://docker:2" in said) == bool(given)
        assert not any(line.startswith(("no_proxy=", "SSL_CERT_FILE=")) for line in said)
        assert "Qwen/Qwen2.5-0.5B-Instruct" in done.stdout


@pytest.mark.parametrize("service", ["engine", "locust"])
def test_a_health_check_asks_no_proxy(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `proxies` in ~/.docker/config.json every container has HTTP_PROXY."""
    _, *program = _service("cpu", service, monkeypatch)["healthcheck"]["test"]
    with HTTPServer(("127.0.0.1", 0), _Well) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        words = [
            sys.executable,
            *(word.replace(":8000", f":{port}").replace(":8089", f":{port}") for word in program[1:]),
        ]
        proxies = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"), "http://127.0.0.1:9")
        done = subprocess.run(words, env=proxies, capture_output=True, text=True, timeout=30, check=False)
        server.shutdown()
    assert done.returncode == 0, done.stderr


def test_grafana_asks_no_proxy_for_itself_and_for_prometheus(monkeypatch: pytest.MonkeyPatch) -> None:
    grafana = _service("cpu", "grafana", monkeypatch)
    assert grafana["healthcheck"]["test"] == [
        "CMD-SHELL",
        "http_proxy= wget -qO /dev/null http://127.0.0.1:3000/api/health",
    ]
    for name in ("NO_PROXY", "no_proxy"):
        assert {"127.0.0.1", "prometheus"} <= set(grafana["environment"][name].split(","))
    assert grafana["environment"]["GF_SNAPSHOTS_EXTERNAL_ENABLED"] == "false"


class _Well(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass
