"""An engine that dies, seen by a real Prometheus with the rules as they ship, and told by a real Alertmanager.

The engine is the fake one: what is tried here is what happens after it is gone. Shown with `pytest -rP`: when.
VllmDown waits its true minute; GatewayErrors, which is to be held back by it, does not.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.dashboards_stack import (
    KEY,
    TOOLS,
    first_seen,
    gateway_command,
    healthy,
    scrapes,
    start,
    start_prometheus,
)
from tests.e2e.dashboards_stack import tiny_pool as plan_of_one_engine
from tests.ports import free_port
from tests.prometheus.live import ROOT, Prometheus
from tests.waiting import wait_for

pytestmark = [pytest.mark.usefixtures("tools")]


@dataclass(frozen=True)
class Drill:
    prometheus: Prometheus
    alertmanager: str
    gateway: str
    engine: subprocess.Popen[bytes]

    def told(self) -> dict[str, str]:
        """Alert -> state (active, or suppressed by another), as Alertmanager has it."""
        with urllib.request.urlopen(f"{self.alertmanager}/api/v2/alerts", timeout=10) as answer:
            alerts: list[dict[str, Any]] = json.load(answer)
        return {alert["labels"]["alertname"]: alert["status"]["state"] for alert in alerts}

    def ask(self) -> int:
        body = json.dumps({"model": "tiny", "prompt": "hello", "max_tokens": 4}).encode()
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.gateway}/v1/completions", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return int(error.code)


@pytest.fixture(scope="module")
def drill(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drill]:
    folder, plan = tmp_path_factory.mktemp("drill"), plan_of_one_engine()
    engine, gateway, metrics, alertmanager = free_port(), free_port(), free_port(), f"127.0.0.1:{free_port()}"
    fake = [sys.executable, "-m", "tests.fakes.engine", "--host", "127.0.0.1"]
    fake += ["--port", str(engine), "--model", "tiny"]
    sends: list[str | Path] = [
        *_with_debians_share(), TOOLS / "alertmanager", f"--config.file={ROOT / 'prometheus' / 'alertmanager.yaml'}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address={alertmanager}",
        "--cluster.listen-address=",
    ]  # fmt: skip
    with ExitStack() as stack:
        process = start(stack, folder, "engine", fake, dict(os.environ))
        start(stack, folder, "gateway", gateway_command(folder, plan, gateway, engine, metrics), dict(os.environ))
        start(stack, folder, "alertmanager", sends, dict(os.environ))
        config = scrapes(plan, {"vllm": engine, "gateway": metrics}, folder, hurried=["GatewayErrors"])
        config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]}
        prometheus = start_prometheus(stack, folder, config)
        made = Drill(prometheus, f"http://{alertmanager}", f"http://127.0.0.1:{gateway}", process)
        wait_for(lambda: healthy(made.gateway), 30, "the gateway has found its engine")
        wait_for(prometheus.ready, 30, "Prometheus has seen all")
        yield made


def _with_debians_share() -> list[str | Path]:
    """Debian's alertmanager wants its templates in /usr/share: shown to it alone, in a mount namespace of its own."""
    share = TOOLS.parent / "share"
    show = 'mount --bind "$0" /usr/share && exec "$@"'
    return ["unshare", "--map-root-user", "--mount", "/bin/sh", "-c", show, share] if share.exists() else []


def test_a_dead_engine_is_told_once_and_what_follows_from_it_is_held_back(drill: Drill) -> None:
    assert [drill.ask() for _ in range(20)] == [200] * 20
    drill.engine.kill()
    drill.engine.wait()
    died = time.time()
    for _ in range(10):
        assert drill.ask() in {502, 503}
    for alert, patience in (("VllmDown", 100), ("GatewayErrors", 200)):
        wait_for(partial(first_seen, drill.prometheus, alert, died), patience, f"{alert} fires")
        logging.warning("%s fired %.0f s after the engine died", alert, first_seen(drill.prometheus, alert, died))
    wait_for(lambda: {"VllmDown", "GatewayErrors"} <= drill.told().keys(), 60, "Alertmanager has both")
    assert (drill.told()["VllmDown"], drill.told()["GatewayErrors"]) == ("active", "suppressed")


def test_the_configuration_is_what_its_own_tool_accepts() -> None:
    config = ROOT / "prometheus" / "alertmanager.yaml"
    run = subprocess.run([TOOLS / "amtool", "check-config", config], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
