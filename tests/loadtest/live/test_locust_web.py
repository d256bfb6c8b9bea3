"""Locust's page with our tab, table, charts and metrics, in a real browser and over several processes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.browser import chromium
from tests.loadtest.live.locust_page import QUICK, get, locust, metrics, statistics, wait_for
from tests.loadtest.live.test_prometheus_exporter import Values, value


def test_the_tab_shows_live_numbers_in_a_browser(page: str) -> None:
    with chromium() as tab:
        tab.shape(1280)
        tab.open(page)
        tab.until("document.querySelector('button[type=submit]') !== null")
        for field in ("workload", "model", "steps", "stageSeconds", "maxTokens"):
            tab.until(f"document.querySelector('form [name={field}]') !== null")
        assert tab.ask("document.querySelector('form [name=apiKeyFile]')") is None
        tab.ask("document.querySelector('button[type=submit]').click()")
        wait_for(lambda: statistics(page)["stats"][-1]["num_requests"] > 20)
        tab.open(f"{page}/?tab=llm")
        tab.until("document.querySelectorAll('#fullbatch path[data-line]').length >= 6", 40)
        told = tab.until("document.body.innerText.includes('TTFT p95') && document.body.innerText")
        for word in ("Tokens/s", "ITL p50", "Time to first token", "Time between tokens", "Output tokens per second"):
            assert word in told
        assert tab.complaints == []
        gap = "document.querySelector('#fullbatch').getBoundingClientRect().top - "
        gap += "document.querySelector('#root table').getBoundingClientRect().bottom"
        tab.until(f"0 <= {gap} && {gap} < 100")  # once Locust has built its own page
        for width in (1280, 390):
            tab.shape(width)
            assert tab.ask("document.querySelector('#fullbatch').scrollWidth - innerWidth") <= 0
        tab.open(f"{page}/?tab=stats")
        assert tab.ask("getComputedStyle(document.querySelector('#fullbatch')).display") == "none"


def test_the_start_page_says_what_counts_and_what_is_sent_counts(page: str) -> None:
    with chromium() as tab:
        tab.shape(1280, 800)
        tab.open(page)
        told = "document.querySelector('#fullbatch-told')?.innerText"
        tab.until(f"({told} || '').includes('up to Number of users, which is the last step')")
        fields = {"userCount": "10", "spawnRate": "50", "steps": "1,5,10", "stageSeconds": "4", "promptTokens": "0"}
        for name, value in fields.items():
            tab.until(f"document.querySelector('form [name={name}]')?.value === '{value}'")
            assert tab.ask(f"document.querySelector('form [name={name}]').disabled") is False
        start = "document.querySelector('form button[type=submit]').getBoundingClientRect()"
        assert tab.ask(f"{start}.bottom <= innerHeight && {start}.height > 20"), "START is seen without scrolling"
        assert tab.overflow() <= 0
        tab.ask("document.querySelector('form [name=userCount]').focus()")
        tab.ask("document.querySelector('form [name=userCount]').select()")
        tab._call("Input.insertText", text="3")
        tab.ask("document.querySelector('form button[type=submit]').click()")
        wait_for(lambda: metrics(page).get(("loadtest_users", frozenset())) == 3)
        tab.until(f"({told} || '').includes('are in the tab LLM')")
        assert tab.ask("document.querySelector('#fullbatch-told a').getAttribute('href')") == "./?tab=llm"
        wait_for(lambda: statistics(page)["state"] == "stopped")
        assert [row["users"] for row in statistics(page)["extended_stats"][0]["data"]] == [1, 3]
        assert tab.complaints == []


def test_users_ramp_and_run_time_are_heeded_and_what_cannot_be_is_said(page: str) -> None:
    def started(form: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(get(f"{page}/swarm", form.encode()))
        return found

    for form, said in (
        ("user_count=0", "Number of users: '0' is not"), ("steps=x", "Steps: 'x' is not"),
        ("spawn_rate=nan", "Ramp up: 'nan' is not"), ("run_time=soon", "Valid run_time formats"),
        ("stage_seconds=x", "Stage Seconds: 'x' is not"),
    ):  # fmt: skip
        answer = started(form)
        assert answer["success"] is False and said in answer["message"], form
    assert statistics(page)["state"] == "ready"
    assert started("user_count=2&spawn_rate=50&run_time=6s&steps=1,7&stage_seconds=2")["success"] is True
    wait_for(lambda: metrics(page).get(("loadtest_users", frozenset())) == 2)
    assert "stop this run" in started("user_count=9&spawn_rate=1")["message"]
    wait_for(lambda: statistics(page)["state"] == "stopped")
    rows = statistics(page)["extended_stats"][0]["data"]
    assert [row["users"] for row in rows] == [1, 2] and 5 <= sum(row["seconds"] for row in rows) <= 12
    assert started("steps=1&stage_seconds=1")["success"] is True  # neither the users nor the time of the run before
    wait_for(lambda: [row["users"] for row in statistics(page)["extended_stats"][0]["data"]] == [1])


def test_form_table_metrics_and_csv_tell_the_same_run(page: str) -> None:
    get(f"{page}/swarm", b"steps=2,3&stage_seconds=3&max_tokens=12&workload=chat")
    wait_for(lambda: metrics(page).get(("loadtest_users", frozenset())) == 3)
    (running,) = [dict(labels) for name, labels in metrics(page) if name == "loadtest_stage_info"]
    assert (running["users"], running["workload"]) == ("3", "chat")
    get(f"{page}/stop", b"")
    wait_for(lambda: statistics(page)["state"] == "stopped")
    whole = statistics(page)["stats"][-1]["num_requests"]
    found = wait_for(lambda: (m := metrics(page)) and value(m, "loadtest_requests_total", outcome="ok") == whole and m)
    assert value(found, "loadtest_output_tokens_total") == pytest.approx(12 * whole)
    assert value(found, "loadtest_time_to_first_token_seconds_count") == whole
    assert not [name for name, _ in found if name.startswith("loadtest_stage_")]
    (extended,) = statistics(page)["extended_stats"]
    assert sum(row["answers"] for row in extended["data"]) == whole
    assert all(39 <= row["ttft_p50"] < 500 for row in extended["data"])
    lines = get(f"{page}/fullbatch/stages.csv").splitlines()
    assert len(lines) == 1 + len(extended["data"]) and lines[0].startswith("stage,users,seconds")


def test_workers_numbers_add_up_on_the_master(
    engine: tuple[str, int], tmp_path: Path, free_port: Callable[[], int]
) -> None:
    web, master = free_port(), free_port()
    environment = {"FULLBATCH_HOST": engine[0], "FULLBATCH_MODEL": "tiny"}
    address = ("--web-host", "127.0.0.1", "--web-port", str(web), "--master-bind-port", str(master))
    worker = ("--worker", "--master-host", "127.0.0.1", "--master-port", str(master))
    page = f"http://127.0.0.1:{web}"
    with (
        locust(tmp_path, "--master", *address, *QUICK, **environment),
        locust(tmp_path, *worker, **environment),
        locust(tmp_path, *worker, **environment),
    ):
        wait_for(lambda: statistics(page).get("worker_count") == 2)
        get(f"{page}/swarm", b"")
        wait_for(lambda: metrics(page).get(("loadtest_users", frozenset())) == 5)
        wait_for(lambda: statistics(page)["stats"][-1]["num_requests"] > 20)
        get(f"{page}/stop", b"")
        wait_for(lambda: statistics(page)["state"] == "stopped")

        def rows() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = statistics(page)["extended_stats"][0]["data"]
            return found

        def agree() -> Values | None:
            found, whole = metrics(page), statistics(page)["stats"][-1]["num_requests"]
            seen = {value(found, "loadtest_requests_total", outcome="ok"), sum(row["answers"] for row in rows())}
            return found if seen == {whole} else None  # the workers' last reports may come after the stop

        found = wait_for(agree)
        whole = value(found, "loadtest_requests_total", outcome="ok")
        assert whole is not None and value(found, "loadtest_output_tokens_total") == pytest.approx(16 * whole)
        assert value(found, "loadtest_inter_token_latency_seconds_bucket", le="+Inf") == value(
            found, "loadtest_inter_token_latency_seconds_count"
        )
        assert {1, 5} <= {row["users"] for row in rows()}
