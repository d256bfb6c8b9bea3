"""Dashboards and alerts with real numbers: the real vLLM asked for more than its cache holds, and a real Prometheus.

The rules are those that ship, but that the two alerts of overload fire without their two minutes of patience, which
promtool sees (prometheus/tests). `TRUE_WINDOWS=1 pytest -rP` shows when each fires as it ships.
"""

from __future__ import annotations

import logging
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path

import pytest

from fullbatch.top.loop import frames
from fullbatch.top.sources import MetricsSource
from grafana.dashboards import ALL
from grafana.panels import Panel
from grafana.queries.hardware import NO_CARDS
from grafana.query import Query
from tests.e2e.dashboards_stack import Stack, Users, exposed, first_seen, running
from tests.grafana.drawing import pages as drawing
from tests.prometheus.exposition import ENGINE
from tests.prometheus.live import ROOT
from tests.prometheus.promql import rules, substituted
from tests.waiting import wait_for

pytestmark = [pytest.mark.engine, pytest.mark.timeout(1500), pytest.mark.usefixtures("tools")]

USERS = 24
# What overload with a tiny cache must fire.
MUST_FIRE = ("VllmKvCacheSaturated", "VllmPreempting")
PATIENCE_SECONDS = 240
# A panel's window is 4 s, and on a busy machine the next answer, or the next of the queue, takes longer than that.
PANEL_PATIENCE_SECONDS = 90
# How long the load goes on before it is photographed.
PICTURED_SECONDS = 150
QUEUED = "gateway_queue_depth > 0"

PANELS = [
    pytest.param(panel, query, id=f"{board.uid}-{panel.title}-{query.legend}")
    for board in ALL
    for panel in board.panels()
    for query in panel.queries
]
# Titles of panels all of whose queries a healthy stack may have nothing for.
MAY_BE_EMPTY = {
    panel.title for board in ALL for panel in board.panels() if all(query.empty_when for query in panel.queries)
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("stack"), hurried=MUST_FIRE) as started:
        yield started


@pytest.fixture(scope="module")
def overload(stack: Stack) -> Iterator[float]:
    """When it began. The users stay while the tests look at the panels."""
    users = Users(stack.gateway, USERS)
    # The gateway would not let it come to this: it sends an engine that preempts less. So some go past it.
    past_it = Users(stack.engine, USERS)
    began = time.time()
    users.start()
    past_it.start()
    try:
        for alert in MUST_FIRE:
            wait_for(partial(first_seen, stack.prometheus, alert, began), PATIENCE_SECONDS, f"{alert} fires")
        wait_for(partial(stack.prometheus.query, QUEUED), PATIENCE_SECONDS, "somebody waits at the gateway")
        yield began
        enough = f"more than {USERS} answers to judge by"
        wait_for(lambda: users.outcomes.count("ok") + past_it.outcomes.count("ok") > USERS, PATIENCE_SECONDS, enough)
    finally:
        users.stop()
        past_it.stop()


@pytest.mark.parametrize("alert", MUST_FIRE)
def test_overload_and_preemption_fire_their_alerts(alert: str, stack: Stack, overload: float) -> None:
    seconds = first_seen(stack.prometheus, alert, overload)
    assert seconds is not None
    logging.warning("%s fired %.0f s after %d users began", alert, seconds, USERS)
    assert seconds < PATIENCE_SECONDS


@pytest.mark.usefixtures("overload")
def test_what_more_users_need_is_more_kv_memory(stack: Stack) -> None:
    more_kv = "deployment:vllm_next_step:state == 2"
    kv_is_full = "quantile_over_time(0.5, deployment:vllm_limit:state[1m]) == 3"
    for expr in (more_kv, kv_is_full):
        wait_for(partial(stack.prometheus.query, expr), PANEL_PATIENCE_SECONDS, expr)


@pytest.mark.usefixtures("overload")
def test_nothing_else_that_is_critical_fires(stack: Stack) -> None:
    fired = {
        labels["alertname"] for labels, _ in stack.prometheus.query('ALERTS{severity="critical", alertstate="firing"}')
    }
    assert fired == set()


@pytest.mark.usefixtures("overload")
def test_every_rule_is_evaluated_without_error(stack: Stack) -> None:
    evaluated = {rule["name"]: rule["health"] for rule in stack.prometheus.rules()}
    assert evaluated == dict.fromkeys(rules("record").keys() | rules("alert").keys(), "ok")


@pytest.mark.usefixtures("overload")
@pytest.mark.parametrize("name", rules("record"))
def test_every_recorded_series_has_a_value(name: str, stack: Stack) -> None:
    if ":gpu_" in name:
        assert not stack.prometheus.query(name), "this machine has no cards, and no exporter runs"
        return
    # Those of first tokens need two scrapes with a first token between them.
    [(labels, value)] = wait_for(partial(stack.prometheus.query, name), PANEL_PATIENCE_SECONDS, f"{name} is recorded")
    assert labels["deployment"] == stack.plan.name and math.isfinite(value)


@pytest.mark.usefixtures("overload")
@pytest.mark.parametrize(("panel", "query"), PANELS)
def test_every_panel_has_data_or_says_why_not(panel: Panel, query: Query, stack: Stack) -> None:
    expr = substituted(query.expr, stack.plan.name)
    ask = partial(stack.prometheus.query, expr)
    found = ask() if query.empty_when else wait_for(ask, PANEL_PATIENCE_SECONDS, f"{panel.title}: {expr}")
    assert all(math.isfinite(value) for _, value in found), f"{panel.title}: {found}"
    assert not found or query.empty_when != NO_CARDS


def test_grafanas_components_draw_it_all(stack: Stack, overload: float, tmp_path: Path) -> None:
    """Empty is what may be: no cards, no load test, no drafts here. What is drawn, and how: tests/grafana/drawing."""
    drawing.install()
    if "PICTURES" in os.environ:
        time.sleep(PICTURED_SECONDS)
    span = drawing.Span(float(int(overload)) - 10, float(int(time.time())))
    with drawing.browser() as tab:
        for board in drawing.BOARDS.values():
            found = drawing.answers(stack.prometheus, board, stack.plan.name, span)
            drawn = drawing.draw(tab, tmp_path, board, found, span)
            empty = {one.panel["title"] for one in drawn if one.empty}
            assert empty <= MAY_BE_EMPTY, board["title"]
            assert tab.complaints == []


@pytest.mark.usefixtures("overload")
def test_the_recording_is_what_this_engine_exposes(stack: Stack, tmp_path: Path) -> None:
    """Names, types and labels: what rules and panels were checked against is what runs."""
    recording = Path(shutil.copy(ENGINE, tmp_path))
    command = [sys.executable, str(ROOT / "scripts" / "record-metrics"), f"{stack.engine}/metrics", str(recording)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    changes = [line for line in run.stdout.splitlines()[:-1] if "vllm:" in line]
    assert changes == [], "an engine bump: scripts/record-metrics, and look at what is gone"


@pytest.mark.usefixtures("overload")
def test_fullbatch_top_sees_the_same_without_prometheus(stack: Stack) -> None:
    pages = partial(exposed, stack.gateway_metrics), partial(exposed, stack.engine)
    source = MetricsSource(stack.plan.name, "process", stack.gateway, *pages)
    figures = (frame.figures for frame in frames(source, 1.0))
    seen = []
    for one in islice(figures, PANEL_PATIENCE_SECONDS):
        seen.append(one)
        if len(seen) >= 8 and one.preemptions_per_s and one.output_tokens_per_s and one.ttft_p95_s:
            break
    assert {(one.slots, one.kv_tokens, one.engines_up) for one in seen} == {(16, 5120, 1)}
    # Which of them is the tightest differs from second to second; far too little KV cache is seen among them.
    assert "KV cache full" in {one.limit for one in seen} and seen[-1].preemptions_per_s
    assert seen[-1].output_tokens_per_s and seen[-1].ttft_p95_s and seen[-1].failed_share == 0


@pytest.mark.usefixtures("overload")
@pytest.mark.parametrize("title", ["Requests in the batch", "KV cache, tokens in use", "Tokens of a mean step"])
def test_a_number_stands_beside_what_it_is_out_of(title: str, stack: Stack) -> None:
    whole = {"Req": ("slots", "16"), "KV ": ("thousands", "5"), "Tok": ("budget", "2048")}[title[:3]]
    [panel] = [panel for board in ALL for panel in board.panels() if panel.title == title]
    expr = f"({substituted(panel.queries[0].expr, stack.plan.name)}) > 0"
    [(labels, _)] = wait_for(partial(stack.prometheus.query, expr), PANEL_PATIENCE_SECONDS, expr)
    assert labels[whole[0]] == whole[1]
