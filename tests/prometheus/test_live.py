"""What a real Prometheus makes of the rules and of every panel's query, fed with the recorded expositions."""

import math

import pytest

from grafana.dashboards import ALL
from grafana.panels import Panel
from grafana.queries.common import ENGINE_STARTS, STAGE_STARTS
from grafana.query import Query
from tests.prometheus.live import DEPLOYMENT, Prometheus
from tests.prometheus.promql import rules, substituted
from tests.waiting import wait_for

PANELS = [
    pytest.param(panel, query, id=f"{board.uid}-{panel.title}-{query.legend}")
    for board in ALL
    for panel in board.panels()
    for query in panel.queries
]


def test_prometheus_evaluates_every_rule_without_error(prometheus: Prometheus) -> None:
    def evaluated() -> bool:
        return all(rule["health"] != "unknown" for rule in prometheus.rules())

    wait_for(evaluated, 20, "every rule evaluated")
    assert {rule["name"]: rule.get("lastError") for rule in prometheus.rules() if rule["health"] != "ok"} == {}
    assert {rule["name"] for rule in prometheus.rules()} == rules("record").keys() | rules("alert").keys()


@pytest.mark.parametrize("name", rules("record"))
def test_recorded_series_has_a_finite_value_for_the_deployment(name: str, prometheus: Prometheus) -> None:
    wait_for(lambda: prometheus.query(name), 20, f"a series of {name}")
    found = prometheus.query(name)
    of_keys = name.startswith("deployment_key:")
    names = {"__name__", "deployment"} | ({"key"} if of_keys else set())
    assert len(found) == 1 or of_keys
    for labels, value in found:
        assert labels.keys() == names
        assert labels["deployment"] == DEPLOYMENT and math.isfinite(value) and value >= 0


@pytest.mark.parametrize(("panel", "query"), PANELS)
def test_panel_query_returns_series(panel: Panel, query: Query, prometheus: Prometheus) -> None:
    expr = substituted(query.expr, DEPLOYMENT)
    if query.empty_when is None:
        wait_for(lambda: prometheus.query(expr), 20, f"{panel.title}: a series of {expr}")
    for labels, value in prometheus.query(expr):
        assert math.isfinite(value) and value >= 0, f"{panel.title}: {labels} {value}"


@pytest.mark.parametrize(("panel", "query"), PANELS)
def test_panel_shows_no_nan_when_nothing_happens(panel: Panel, query: Query, idle_prometheus: Prometheus) -> None:
    """Grafana prints NaN instead of `noValue`; no traffic is to say "No traffic"."""
    for labels, value in idle_prometheus.query(substituted(query.expr, DEPLOYMENT)):
        assert math.isfinite(value), f"{panel.title}: {labels} {value}"


@pytest.mark.parametrize(("panel", "query"), PANELS)
def test_panel_query_of_another_deployment_is_empty(panel: Panel, query: Query, prometheus: Prometheus) -> None:
    """What shows one deployment must not show another one's numbers; alerts are everybody's."""
    if "$deployment" in query.expr:
        assert prometheus.query(substituted(query.expr, "elsewhere")) == [], panel.title


def test_nothing_is_annotated_while_no_engine_starts(prometheus: Prometheus) -> None:
    assert prometheus.query(substituted(ENGINE_STARTS, DEPLOYMENT)) == []


def test_each_stage_of_a_load_test_is_annotated_at_its_moment(prometheus: Prometheus) -> None:
    """Grafana takes the value as the time, in milliseconds."""
    stages = {labels["users"]: value for labels, value in prometheus.query(substituted(STAGE_STARTS, DEPLOYMENT))}
    assert stages == {"1": 1795449600000, "5": 1795449660000, "10": 1795449720000}


def test_the_recorded_load_shows_as_what_it_was(prometheus: Prometheus) -> None:
    """The recording was made with 40 KV blocks and more users than fit: requests wait, and are preempted."""
    [(_, waiting)] = prometheus.query("deployment:vllm_requests_waiting:sum")
    [(_, preempted)] = prometheus.query("deployment:vllm_preemptions_per_request:ratio_rate5m")
    [(_, state)] = prometheus.query("deployment:vllm_limit:state")
    assert waiting > 0
    assert preempted > 0
    assert state in {3, 4}


def test_creation_timestamps_are_not_stored(prometheus: Prometheus) -> None:
    assert prometheus.query('count({__name__=~".+_created"})') == []
