"""Who reaches Locust's page, and what a form may choose."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.loadtest.live.locust_page import QUICK, get, locust, statistics, wait_for
from tests.loadtest.programs import ROOT

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
