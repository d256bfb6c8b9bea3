"""The optional services of compose.yaml: off unless asked for, pinned, and reachable by nobody outside."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.dashboards_stack import NODE_EXPORTER
from tests.prometheus.exposition import CARDS, recorded_series

ROOT = Path(__file__).parents[2]
SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
OPTIONAL = {
    "alertmanager": "alerts",
    "node-exporter": "hardware",
    "dcgm-exporter": "gpu",
    "chat": "chat",
    "traces": "traces",
}
SCRAPED = {
    job["job_name"]: job
    for job in yaml.safe_load((ROOT / "rendered" / "cpu-tiny" / "prometheus.yaml").read_text())["scrape_configs"]
}


@pytest.mark.parametrize(("name", "profile"), OPTIONAL.items())
def test_an_optional_service_starts_only_when_asked_for(name: str, profile: str) -> None:
    assert SERVICES[name]["profiles"] == [profile]
    assert re.fullmatch(
        r"[\w./-]+:v?\d+(\.\d+)+[\w.-]*", re.sub(r"^\$\{[A-Z_]+_IMAGE:-(.*)\}$", r"\1", SERVICES[name]["image"])
    ), "a version, not latest"


@pytest.mark.parametrize("name", OPTIONAL)
def test_nothing_of_it_can_be_reached_from_another_machine(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))
    assert SERVICES[name]["cap_drop"] == ["ALL"] and SERVICES[name]["read_only"] is True
    assert not SERVICES[name].get("privileged") and "cap_add" not in SERVICES[name]
    assert all(mount.get("read_only") for mount in SERVICES[name]["volumes"] if mount["type"] == "bind")


@pytest.mark.parametrize(
    ("job", "service", "port"),
    [("node", "node-exporter", 9100), ("gpu", "dcgm-exporter", 9400), ("loadtest", "locust", 8089)],
)
def test_prometheus_finds_it_by_its_name_when_it_is_there(job: str, service: str, port: int) -> None:
    [found] = SCRAPED[job]["dns_sd_configs"]
    assert (found["names"], found["port"]) == ([service], port)
    assert set(SERVICES[service]["networks"]) & set(SERVICES["prometheus"]["networks"])


def test_the_recording_of_the_node_exporter_is_of_the_collectors_that_run() -> None:
    given = {word for word in SERVICES["node-exporter"]["command"] if word.startswith("--collector")}
    assert given == {word for word in NODE_EXPORTER if word.startswith("--collector")}


def test_what_is_said_of_the_cards_is_what_the_exporter_is_asked_for() -> None:
    lines = (ROOT / "prometheus" / "dcgm-counters.csv").read_text().splitlines()
    asked = {row[0]: row[1].strip() for row in csv.reader(line for line in lines if line and not line.startswith("#"))}
    metrics = {name for name, kind in asked.items() if kind != "label"}
    assert metrics == recorded_series(CARDS).keys()
    assert set(asked.values()) == {"gauge", "counter", "label"}


def test_gateway_and_engines_reach_the_collector_that_a_profile_may_name() -> None:
    traces = SERVICES["traces"]
    config = yaml.safe_load((ROOT / "traces" / "jaeger.yaml").read_text())
    engine = yaml.safe_load((ROOT / "rendered" / "cpu-tiny" / "compose.yaml").read_text())["services"]["engine"]
    assert set(traces["networks"]) & set(SERVICES["gateway"]["networks"])
    assert set(traces["networks"]) & set(engine["networks"])
    assert config["receivers"]["otlp"]["protocols"] == {"http": {"endpoint": "0.0.0.0:4318"}}
    # The page's port is the one that is published, and what is received ends in the store that the page reads.
    assert [port.rpartition(":")[2] for port in traces["ports"]] == ["16686"]
    assert config["extensions"]["jaeger_query"]["http"]["endpoint"].endswith(":16686")
    pipeline = config["service"]["pipelines"]["traces"]
    store = config["exporters"][pipeline["exporters"][0]]["trace_storage"]
    assert pipeline["receivers"] == ["otlp"]
    assert store == config["extensions"]["jaeger_query"]["storage"]["traces"]
    assert config["extensions"]["jaeger_storage"]["backends"][store]["memory"]["max_traces"] > 0
    assert set(config["extensions"]) == set(config["service"]["extensions"])


def test_nobody_waits_for_the_collector() -> None:
    assert not [name for name, service in SERVICES.items() if "traces" in service.get("depends_on", {})]
    assert "depends_on" not in SERVICES["traces"]
