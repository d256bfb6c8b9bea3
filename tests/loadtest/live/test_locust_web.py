"""Locust's page with our tab, table, charts and metrics, in a real browser and over several processes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests import waiting
from tests.browser import chromium
from tests.loadtest.live.test_prometheus_exporter import Values, value, values
from tests.loadtest.programs import ROOT

QUICK = ("--steps", "1,5,10", "--stage-seconds", "4", "--max-tokens", "16", "--stop-timeout", "10")


@contextmanager
def locust(folder: Path, *arguments: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "locust", "-f", str(ROOT / "loadtest" / "locustfile.py"), *arguments]
    chosen = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    with (folder / f"locust-{time.monotonic_ns()}.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=chosen, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(20)


def get(url: str, body: bytes | None = None) -> str:
    with urllib.request.urlopen(url, body, timeout=10) as answer:
        return str(answer.read().decode())


def wait_for(ask: Callable[[], Any]) -> Any:
    """What Locust's page shows in the end."""
    return waiting.wait_for(ask, 40, "what Locust's page should show")


def statistics(page: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(get(f"{page}/stats/requests"))
    return found


def metrics(page: str) -> Values:
    return values(get(f"{page}/metrics"))


@pytest.fixture
def page(engine: tuple[str, int], tmp_path: Path, free_port: Callable[[], int]) -> Iterator[str]:
    """The address of a web UI that waits for its start."""
    port = free_port()
    environment = {"FULLBATCH_HOST": engine[0], "FULLBATCH_MODEL": "tiny"}
    with locust(tmp_path, "--web-host", "127.0.0.1", "--web-port", str(port), *QUICK, **environment):
        wait_for(lambda: get(f"http://127.0.0.1:{port}/"))
        yield f"http://127.0.0.1:{port}"


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


# Locust takes all of these from a form: files to read and to send anywhere, files to write, and our own safeguards.
BEYOND_THE_FORM = (
    b"api_key_file=/etc/passwd", b"dataset=/etc/passwd", b"web_host_allowed=evil.example", b"html_file=/tmp/x",
    b"csv_prefix=/tmp/x", b"key_host=http://evil.example", b"peak_users=9",
)  # fmt: skip


def test_a_host_that_is_named_in_the_form_gets_no_key(
    engine: tuple[str, int], tmp_path: Path, free_port: Callable[[], int]
) -> None:
    (tmp_path / "keys").write_text("fb-secret\n")
    environment = {"FULLBATCH_HOST": engine[0], "FULLBATCH_MODEL": "tiny", "FULLBATCH_KEY_FILE": f"{tmp_path}/keys"}
    port = free_port()
    with (
        locust(tmp_path, "--web-host", "127.0.0.1", "--web-port", str(port), *QUICK, **environment),
        socket.create_server(("127.0.0.1", 0)) as other,
    ):
        wait_for(lambda: get(f"http://127.0.0.1:{port}/"))
        other.settimeout(20)
        host = f"http://127.0.0.1:{other.getsockname()[1]}"
        assert json.loads(get(f"http://127.0.0.1:{port}/swarm", f"steps=1&host={host}".encode()))["success"]
        connection, _ = other.accept()
        with connection:
            request = connection.recv(65536)
    assert request.startswith(b"POST /v1/chat/completions") and b"fb-secret" not in request


def test_another_web_site_cannot_start_a_run_nor_a_form_choose_files(page: str) -> None:
    for headers, body, status in (
        ({"Origin": "http://elsewhere.example"}, b"host=http://elsewhere.example", 403),
        *(({"Origin": page}, body, 400) for body in BEYOND_THE_FORM),
    ):
        request = urllib.request.Request(f"{page}/swarm", body, headers)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=5)
        refused.value.close()
        assert refused.value.code == status
    assert statistics(page)["state"] == "ready"


PAGES = (
    "GET /", "GET /metrics", "GET /fullbatch/live", "GET /fullbatch/stages.csv", "GET /fullbatch/live.js",
    "GET /stats/requests", "GET /stats/report", "GET /stats/requests/csv", "GET /stats/failures/csv", "GET /exceptions",
    "GET /tasks", "GET /logs", "GET /worker-count", "GET /assets/favicon-light.png", "GET /nothing", "GET /login",
    "POST /swarm", "POST /stop", "POST /stats/reset", "POST /user", "OPTIONS /swarm", "HEAD /",
)  # fmt: skip


def answered(page: str, what: str, *headers: str) -> tuple[int, str]:
    """Status and body of a request with exactly these headers."""
    address = urllib.parse.urlsplit(page)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=10) as connection:
        lines = [f"{what} HTTP/1.1", *headers, "Connection: close", "Content-Length: 0", "", ""]
        connection.sendall("\r\n".join(lines).encode("latin-1"))
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = answer.decode("utf-8", "replace").partition("\r\n\r\n")
    return int(head.split()[1]), body


@pytest.fixture(scope="module")
def bare_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A page whose server is not there, told of one name and of one name at one port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    told = {"FULLBATCH_HOST": "http://127.0.0.1:9", "FULLBATCH_WEB_HOSTS": "box.lan, pinned.lan:443"}
    with locust(tmp_path_factory.mktemp("page"), "--web-host", "127.0.0.1", "--web-port", str(port), **told):
        wait_for(lambda: get(f"http://127.0.0.1:{port}/"))
        yield f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("what", PAGES)
def test_a_name_that_another_site_points_at_us_reaches_no_page(bare_page: str, what: str) -> None:
    port = bare_page.rpartition(":")[2]
    for host in (f"evil.example:{port}", f"EVIL.EXAMPLE.:{port}", f"localhost.evil.example:{port}", "pinned.lan:80"):
        for origin in ((), (f"Origin: http://{host}",)):
            status, body = answered(bare_page, what, f"Host: {host}", *origin)
            assert status == 403 and ("was not told of the host" in body or what.startswith("HEAD")), (host, body[:200])
    assert answered(bare_page, what)[0] == 400
    for odd in ("", "localhost:0", f"localhost:{port}, evil.example", "user@localhost", "[::1", "<b>"):
        assert answered(bare_page, what, f"Host: {odd}")[0] == 400, odd
    assert answered(bare_page, what, f"Host: localhost:{port}", "Host: evil.example")[0] == 400
    for other in ("http://evil.example", "null", f"http://127.0.0.1:{port}", "http://localhost:1"):
        assert answered(bare_page, what, f"Host: localhost:{port}", f"Origin: {other}")[0] == 403, other


def test_loopback_and_what_was_told_reach_the_page(bare_page: str) -> None:
    port = bare_page.rpartition(":")[2]
    for host in (
        f"127.0.0.1:{port}", f"LOCALHOST:{port}", f"localhost.:{port}", "localhost:18089", f"[::1]:{port}",
        f"[::ffff:127.0.0.1]:{port}", f"box.lan:{port}", "Box.Lan", "box.lan.:80", "pinned.lan:443",
    ):  # fmt: skip
        for origin in ((), (f"Origin: http://{host}",)):
            assert answered(bare_page, "GET /tasks", f"Host: {host}", *origin)[0] == 200, (host, origin)


def test_prometheus_finds_the_metrics_by_any_address_and_nothing_else(bare_page: str) -> None:
    for host in ("172.18.0.5:8089", "[fd00::5]:8089"):
        status, body = answered(bare_page, "GET /metrics", f"Host: {host}")
        assert status == 200 and "loadtest_users" in body
        assert answered(bare_page, "GET /metrics", f"Host: {host}", "Origin: http://evil.example")[0] == 403
        assert answered(bare_page, "GET /stats/requests", f"Host: {host}")[0] == 403
        assert answered(bare_page, "POST /stop", f"Host: {host}")[0] == 403


def test_a_host_that_is_none_is_refused_at_the_start(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "locust", "-f", str(ROOT / "loadtest" / "locustfile.py"), "--web-port", "1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for words, more in ((["--web-host-allowed", "http://x"], {}), ([], {"FULLBATCH_WEB_HOSTS": "http://x"})):
        done = subprocess.run(
            [*command, *words], cwd=tmp_path, env=environment | more, capture_output=True, text=True, timeout=60
        )  # fmt: skip
        assert done.returncode == 2 and "Traceback" not in done.stderr
        assert "'http://x' is not a host; write one such as box.lan" in done.stderr


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
