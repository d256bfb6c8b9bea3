"""What the registry is told of Docker Compose, with containers of the test's own."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fullbatch.core import host
from fullbatch.planning.plan import Plan
from fullbatch.runtime.base import DeadEngine, Held, Ports
from fullbatch.runtime.compose import deployment
from fullbatch.runtime.compose.runtime import ComposeRunning, ComposeRuntime


def test_without_docker_it_says_why_and_what_runs_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "docker", lambda: host.Docker("Docker is not installed; install it, or use X"))
    assert ComposeRuntime().problem() == "Docker is not installed; install it, or use X"
    (missed,) = ComposeRuntime().present(None, "plain processes")
    assert (missed.severity, missed.fix) == ("warn", "install it")
    assert missed.finding == "Docker is not installed; profiles run as plain processes"
    assert ComposeRuntime().present(None, None)[0].severity == "fail"


def test_its_ports_are_the_gateways_and_those_of_the_fixed_services(
    plan_of: Callable[[str], Plan], free_port: Callable[[], int], tmp_path: Path
) -> None:
    found = ComposeRuntime().examine(tmp_path, plan_of("cpu"), Ports(gateway=free_port()), Held())
    assert [one.finding.rpartition(" ")[2] for one in found if one.severity == "ok"][:1] == ["gateway"]
    assert len(found) == 3


def container(service: str, restarts: int, text: bytes) -> SimpleNamespace:
    return SimpleNamespace(
        attrs={"RestartCount": restarts}, logs=lambda tail: text, health="starting",  # noqa: ARG005
        labels={deployment.SERVICE_LABEL: service},
    )  # fmt: skip


def test_an_engine_that_was_started_again_has_died_unless_the_gateway_answers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    engines = [container("one", 0, b"well\n"), container("two", 2, b"out of memory\n")]
    monkeypatch.setattr(deployment, "engine_containers", lambda: engines)
    monkeypatch.setattr(deployment, "containers", lambda *_: [])
    running = ComposeRunning(tmp_path, "cpu")
    dead = [DeadEngine("two", ["out of memory"])]
    assert running.dead_engines(10, answers=False) == dead
    assert running.dead_engines(10, answers=True) == dead, "the other one answers"
    engines[1].health = "healthy"
    assert running.dead_engines(10, answers=True) == [], "it has got over it"
    del engines[0]
    engines[0].health = "starting"
    assert running.dead_engines(10, answers=True) == [], "nobody else can have answered"
    engines.insert(0, container("one", 0, b"well\n"))
    assert running.engine_log(10) == ["well"]
    assert running.gateway_url == "http://127.0.0.1:8080", "where it is published by default"


def test_only_of_no_name_in_particular_something_may_be_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(deployment, "containers", lambda *_: [])
    assert ComposeRuntime().stopped(tmp_path, None) is None
    exited = SimpleNamespace(status="exited", labels={}, attrs={"NetworkSettings": {"Ports": {}}})
    monkeypatch.setattr(deployment, "containers", lambda *_: [exited])
    assert ComposeRuntime().running(tmp_path) == []
    assert ComposeRuntime().stopped(tmp_path, "cpu") is None
    assert ComposeRuntime().stopped(tmp_path, None) is not None


def test_what_is_committed_is_complete_for_every_machine(plan_of: Callable[[str], Plan]) -> None:
    plan = plan_of("cpu-tiny")
    two = dataclasses.replace(plan, engines=(dataclasses.replace(plan.engines[0], nodes=2),))
    root = Path(__file__).resolve().parents[4]
    assert set(ComposeRuntime().files(root, plan)) == {"compose.yaml", "gateway.yaml", "prometheus.yaml", "Caddyfile"}
    assert set(ComposeRuntime().files(root, two)) - set(ComposeRuntime().files(root, plan)) == {"node-1.yaml"}


def test_the_key_is_read_in_the_running_gateway(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def gateway(status: str, code: int, output: bytes) -> SimpleNamespace:
        answer = SimpleNamespace(exit_code=code, output=output)
        ports: dict[str, Any] = {"NetworkSettings": {"Ports": {}}}
        return SimpleNamespace(status=status, exec_run=lambda _: answer, attrs=ports, labels={})

    for gateways, key in (
        ([], ""),
        ([gateway("exited", 0, b"fb-old\n"), gateway("running", 0, b"fb-1 first\nfb-2 locust\n")], "fb-1"),
        ([gateway("running", 1, b"No such file")], ""),
        ([gateway("running", 0, b"\n")], ""),
    ):
        monkeypatch.setattr(deployment, "containers", lambda *_, found=gateways: found)
        assert ComposeRunning(tmp_path, "cpu").api_key() == key
