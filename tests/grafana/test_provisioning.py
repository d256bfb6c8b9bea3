"""Provisioning files against what the dashboards and Compose count on."""

from pathlib import Path
from typing import Any

import yaml

from grafana.dashboards import ALL

PROVISIONING = Path(__file__).parents[2] / "grafana" / "provisioning"


def provisioned(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((PROVISIONING / name).read_text())
    return content


def test_the_data_source_is_the_one_the_dashboards_choose() -> None:
    [source] = provisioned("datasources/prometheus.yaml")["datasources"]
    for board in ALL:
        current = board.to_json()["templating"]["list"][0]["current"]
        assert current == {"text": source["name"], "value": source["uid"]}
    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")
    assert source["isDefault"] is True


def test_nothing_provisioned_can_be_edited_in_the_browser() -> None:
    [source] = provisioned("datasources/prometheus.yaml")["datasources"]
    [provider] = provisioned("dashboards/fullbatch.yaml")["providers"]
    assert source["editable"] is False
    assert (provider["allowUiUpdates"], provider["disableDeletion"]) == (False, True)


def test_no_value_is_an_environment_variable() -> None:
    """Grafana expands $NAME in these files: an unset one would become empty without a word."""
    for path in PROVISIONING.rglob("*.yaml"):
        assert all("$" not in line.split("#")[0] for line in path.read_text().splitlines()), path
