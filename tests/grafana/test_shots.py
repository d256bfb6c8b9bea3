"""scripts/grafana-shots with a real Chromium and a small page in Grafana's place: every dashboard is asked
for, with the password, and photographed whole. What Grafana draws is not seen here."""

from __future__ import annotations

import base64
import json
import shutil
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UIDS = sorted(path.stem for path in (ROOT / "grafana" / "generated").glob("*.json"))
PAGE = b"<html><body style='background: teal'><script>setTimeout(() => document.title = 'x', 50)</script></body></html>"
FAILED = b"<html><body><div data-testid='data-testid Panel status error'></div></body></html>"


def shots(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "grafana-shots"), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)


class StandIn(BaseHTTPRequestHandler):
    """Takes user admin with password `right`."""

    page = PAGE
    seen: list[str] = []

    def do_GET(self) -> None:
        allowed = self.headers.get("Authorization") == f"Basic {base64.b64encode(b'admin:right').decode()}"
        self.seen.append(self.path)
        body = b"{}" if self.path.startswith("/api/") else self.page
        self.send_response(200 if allowed else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture(params=[PAGE])
def stand_in(request: pytest.FixtureRequest) -> Iterator[tuple[str, list[str]]]:
    seen: list[str] = []
    handler = type("Handler", (StandIn,), {"page": request.param, "seen": seen})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", seen
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def password(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text("right\n")
    return path


needs_chromium = pytest.mark.skipif(
    not shutil.which("chromium"), reason="Chromium is not installed (Debian's package: chromium)"
)


@needs_chromium
def test_every_dashboard_is_photographed_whole(stand_in: tuple[str, list[str]], password: Path, tmp_path: Path) -> None:
    url, seen = stand_in
    run = shots(url, tmp_path / "out", "--password-file", password, "--deployment", "cpu-tiny")
    assert (run.returncode, run.stderr) == (0, "")
    for uid in UIDS:
        picture = (tmp_path / "out" / f"dashboard-{uid}.png").read_bytes()
        panels = json.loads((ROOT / "grafana" / "generated" / f"{uid}.json").read_text())["panels"]
        bottom = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
        width, height = struct.unpack(">II", picture[16:24])
        assert (width, height) == (1600, bottom * 38 + 140)
        assert f"/d/{uid}?kiosk&from=now-30m&to=now&var-deployment=cpu-tiny" in seen


@needs_chromium
@pytest.mark.parametrize("stand_in", [FAILED], indirect=True)
def test_a_panel_whose_query_failed_is_told(stand_in: tuple[str, list[str]], password: Path, tmp_path: Path) -> None:
    run = shots(stand_in[0], tmp_path / "out", "--password-file", password)
    assert run.returncode == 1
    assert "1 panels of Overview say that their query failed" in run.stderr


def test_a_wrong_password_is_told_before_a_browser_starts(stand_in: tuple[str, list[str]], tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("wrong")
    run = shots(stand_in[0], tmp_path / "out", "--password-file", wrong)
    assert run.returncode == 1
    assert run.stderr == f"scripts/grafana-shots: {stand_in[0]}: wrong user or password, see --password-file\n"
    assert not (tmp_path / "out").exists()


def test_without_a_grafana_it_says_so(free_port: Callable[[], int], tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    run = shots(url, tmp_path / "out")
    assert run.returncode == 1
    assert run.stderr.startswith(f"scripts/grafana-shots: {url}: no Grafana answers (")
    assert run.stderr.endswith("`docker compose up` starts one\n") and run.stderr.count("\n") == 1
