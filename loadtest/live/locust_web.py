"""Locust's own page with live TTFT, inter-token latency and tokens/s, and /metrics for Prometheus.

Uses what Locust 2.47 offers: `extended_tabs` and `extended_tables` for a table of its own, `extended_stats` for its
rows, routes on `web_ui.app`. Its page has no place for charts, so the template gets one script, which draws them below
that table. Numbers of workers come with Locust's own worker reports, as histograms that merge exactly.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from threading import Thread
from typing import Any

from flask import Blueprint, Response, request
from jinja2 import ChoiceLoader, DictLoader
from locust.env import Environment
from locust.event import Events
from locust.html import DEFAULT_BUILD_PATH
from locust.runners import STATE_RUNNING, STATE_SPAWNING, WorkerRunner
from locust.web import WebUI

from loadtest.live import prometheus_exporter
from loadtest.live.board import Board, Collector, Slice
from loadtest.live.host_check import Authority, allowed, authority, same_origin, told
from loadtest.live.locust_settings import FORM_FIELDS
from loadtest.live.stage_shape import fault

TAB = "llm"
_SCRIPT = Path(__file__).parent / "live.js"
_MESSAGE = "fullbatch"  # our part of a worker's report
# Locust's form begins with 1 user where the command line says nothing: the last of the steps, before it is built.
_FILL = """
  const steps = templateArgs.extra_options?.steps?.default_value;
  if (!templateArgs.num_users && steps) templateArgs.num_users = Math.max(...steps.split(",").map(Number));
"""
_SCRAPED = "fullbatch.scrape"
_LOOK_S, _PAUSE_S, _MERGE_S = 0.005, 0.001, 0.5
_COLUMNS = {
    "stage": "Stage",
    "users": "Users",
    "seconds": "Seconds",
    "answers": "Answers",
    "failures": "Failures",
    "tokens_per_s": "Tokens/s",
    **{f"{family}_p{q}": f"{family.upper()} p{q} (ms)" for family in ("ttft", "itl") for q in (50, 95, 99)},
}


def install(events: Events) -> None:
    """For the locustfile: everything begins when Locust has its environment."""
    events.init.add_listener(_on_init)  # type: ignore[no-untyped-call]


def _on_init(environment: Environment, **_: object) -> None:
    session = PageSession(environment)
    options = environment.parsed_options
    if options is not None:  # of the command line, before Locust puts a default in its place
        options.peak_users = options.first_users = options.num_users
        options.key_host = options.host  # whose keys the key file holds, whatever the form says later
    if environment.web_ui is not None:
        _extend(environment.web_ui, session)


class PageSession:
    """What this process knows of the run: a worker sends it on, a master or a lone process has the board."""

    def __init__(self, environment: Environment) -> None:
        self.board = Board()
        self._environment = environment
        self._collector = Collector()
        self._is_worker = isinstance(environment.runner, WorkerRunner)
        events = environment.events
        events.request.add_listener(self._on_request)  # type: ignore[no-untyped-call]
        events.report_to_master.add_listener(self._on_report)  # type: ignore[no-untyped-call]
        events.worker_report.add_listener(self._on_worker_report)  # type: ignore[no-untyped-call]
        events.test_start.add_listener(self._on_start)  # type: ignore[no-untyped-call]
        events.spawning_complete.add_listener(self._on_spawned)  # type: ignore[no-untyped-call]
        events.test_stop.add_listener(self._on_stop)  # type: ignore[no-untyped-call]
        Thread(target=self._work, daemon=True, name="live numbers").start()

    @property
    def users(self) -> int:
        runner = self._environment.runner
        return int(runner.user_count) if runner is not None else 0

    def _on_request(self, context: dict[str, Any], **_: object) -> None:
        if "record" in context:
            self._collector.note(context["record"])

    def _on_start(self, **_: object) -> None:
        options = self._environment.parsed_options
        workload = getattr(options, "workload", "") or "chat"
        self.board.begin(datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"), workload)

    def _on_spawned(self, user_count: int, **_: object) -> None:
        if user_count:
            self.board.stage(user_count)

    def _on_stop(self, **_: object) -> None:
        self.board.end()

    def _on_report(self, data: dict[str, Any], **_: object) -> None:
        data[_MESSAGE] = [[second, one.pack()] for second, one in self._collector.take().items()]

    def _on_worker_report(self, data: dict[str, Any], **_: object) -> None:
        self.board.merge({int(second): Slice.unpack(packed) for second, packed in data.get(_MESSAGE, [])})

    def _work(self) -> None:
        """Under Locust a greenlet: a millisecond of work, then everybody else's turn."""
        due = 0.0
        while True:
            self._collector.absorb(_PAUSE_S)
            if not self._is_worker and time.monotonic() >= due:
                self.board.merge(self._collector.take())
                due = time.monotonic() + _MERGE_S
            time.sleep(_LOOK_S)


def _extend(web_ui: WebUI, session: PageSession) -> None:
    structure = [{"key": key, "title": title} for key, title in _COLUMNS.items()]
    web_ui.template_args |= {
        "extended_tabs": [{"title": "LLM", "key": TAB}],
        "extended_tables": [{"key": TAB, "structure": structure}],
        "extended_csv_files": [{"href": "./fullbatch/stages.csv", "title": "Download LLM stages CSV"}],
    }
    assert web_ui.app is not None and web_ui.app.jinja_loader is not None
    web_ui.app.jinja_loader = ChoiceLoader([DictLoader({"index.html": _page()}), web_ui.app.jinja_loader])
    web_ui.app.before_request(_guard(web_ui))
    web_ui.app.after_request(lambda response: _with_rows(response, session))
    # Where Locust's own routes lie.
    base = getattr(web_ui.environment.parsed_options, "web_base_path", None) or None
    web_ui.app.register_blueprint(_routes(web_ui, session), url_prefix=base)


def _page() -> str:
    """Locust's page with our script. Without the place for it the page stays as it is, and the log says so."""
    text = (Path(DEFAULT_BUILD_PATH) / "index.html").read_text(encoding="utf-8")
    if "</body>" not in text:
        logging.warning("this Locust's page is unlike that of 2.47: no live charts, the tab LLM has the numbers")
    return text.replace("</body>", f'<script>{_FILL}</script><script src="./fullbatch/live.js" defer></script></body>')


def _guard(web_ui: WebUI) -> Callable[[], Response | None]:
    """Before every request, to whatever path. Locust itself lets every web site that its user visits start a run, to
    any host, with our key, and read what the page shows.
    """
    options = web_ui.environment.parsed_options
    hosts = told(getattr(options, "web_host_allowed", ""), web_ui.host)

    def refused() -> Response | None:
        asked = authority(request.headers.get("Host"))
        if asked is None:
            return _plain(400, "a Host header with a name or an address, and perhaps a port, is expected")
        # Prometheus finds us by address. A page of another site asks by name: its name is all that it can point at us.
        scraped = asked.is_address and request.method == "GET" and request.endpoint == _SCRAPED
        if not scraped and not allowed(asked, hosts):
            name = _name_of(asked)
            how = f"start Locust with --web-host-allowed {name}, or set FULLBATCH_WEB_HOSTS={name}, if it is yours"
            return _plain(403, f"this page was not told of the host {name}: {how}")
        origin = request.headers.get("Origin")
        if origin is not None and not same_origin(origin, asked):
            return _plain(403, "only this page may do that, not another web site")
        # Locust takes every option of its command line from the form: files to read, whose keys or texts could be sent
        # anywhere, and files to write.
        taken = sorted(set(request.form) & vars(options).keys() - FORM_FIELDS) if options is not None else []
        if taken:
            return _plain(400, f"{taken[0]} is given on the command line only")
        return _wrong(web_ui.environment) if request.endpoint == "locust.swarm" else None

    return refused


def _wrong(environment: Environment) -> Response | None:
    """What is wrong with the form, as the page shows it. Locust keeps a field that is not sent from the run before."""
    runner, options = environment.runner, environment.parsed_options
    wrong = fault(request.form)
    if runner is not None and runner.state in (STATE_SPAWNING, STATE_RUNNING):
        wrong = "the users are climbing their steps; stop this run before another is started"
    if wrong is not None:
        return Response(json.dumps({"success": False, "message": wrong}), mimetype="application/json")
    if options is not None:
        options.run_time = None
        options.peak_users = int(request.form["user_count"]) if "user_count" in request.form else options.first_users
    return None


def _name_of(asked: Authority) -> str:
    return f"[{asked.host}]" if asked.is_address and ":" in str(asked.host) else str(asked.host)


def _plain(status: int, text: str) -> Response:
    return Response(f"{text}\n", status, {"X-Content-Type-Options": "nosniff"}, mimetype="text/plain")


def _with_rows(response: Response, session: PageSession) -> Response:
    """Locust's statistics with the rows of our table."""
    if request.endpoint == "locust.request_stats" and response.is_json:
        rows = {"key": TAB, "data": session.board.table()}
        response.set_data(json.dumps({**response.get_json(), "extended_stats": [rows]}))
    return response


def _routes(web_ui: WebUI, session: PageSession) -> Blueprint:
    routes = Blueprint("fullbatch", __name__)
    metrics = prometheus_exporter.registry(session.board, lambda: session.users)

    def live() -> Response:
        content = {"stages": session.board.table(), "series": session.board.series()}
        return Response(json.dumps(content), mimetype="application/json")

    def script() -> Response:
        return Response(_SCRIPT.read_text(encoding="utf-8"), mimetype="text/javascript")

    def stages_csv() -> Response:
        rows = [[row[key] for key in _COLUMNS] for row in session.board.table()]
        lines = [",".join("" if value is None else str(value) for value in row) for row in rows]
        text = "\n".join([",".join(_COLUMNS), *lines]) + "\n"
        return Response(text, mimetype="text/csv", headers={"Content-Disposition": "attachment;filename=stages.csv"})

    def scrape() -> Response:
        return Response(prometheus_exporter.text(metrics), content_type=prometheus_exporter.CONTENT_TYPE)

    routes.add_url_rule("/metrics", view_func=scrape)  # Prometheus has no login; there is no secret in it
    for path, view in (("live", live), ("live.js", script), ("stages.csv", stages_csv)):
        guarded = wraps(view)(web_ui.auth_required_if_enabled(view))  # type: ignore[no-untyped-call]
        routes.add_url_rule(f"/fullbatch/{path}", view_func=guarded)
    return routes
