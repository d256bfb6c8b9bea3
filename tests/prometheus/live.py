"""A real Prometheus that scrapes the recorded expositions, served with counters that grow at every scrape."""

import json
import re
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ports import free_port
from tests.prometheus.promql import PROMETHEUS
from tests.waiting import wait_for

ROOT = Path(__file__).parents[2]
DEPLOYMENT = "cpu-tiny"
RENDERED = ROOT / "rendered" / DEPLOYMENT / "prometheus.yaml"
SAMPLE = re.compile(r"^(\S+?)((?:\{.*\})?) (\S+)$")
COUNTER = re.compile(r"_(total|bucket|count|sum)$")


def install_tools() -> Path:
    """Folder of `prometheus` and `promtool`; a skip where they cannot be had, and in CI a skip is a failure."""
    run = subprocess.run([ROOT / "scripts" / "prometheus-tools"], capture_output=True, text=True, check=False)
    if run.returncode != 0:
        pytest.skip(run.stderr.strip())
    return ROOT / ".fullbatch" / "tools" / "bin"


def grown(exposition: str, factor: float) -> str:
    """`exposition` with every counter and histogram multiplied: rates exist, ratios stay as recorded."""
    lines = []
    for line in exposition.splitlines():
        sample = SAMPLE.match(line)
        if sample and COUNTER.search(sample[1]):
            line = f"{sample[1]}{sample[2]} {float(sample[3]) * factor}"
        lines.append(line)
    return "\n".join(lines) + "\n"


@contextmanager
def targets(pages: Mapping[str, tuple[Path, ...]], growth: float = 0.1) -> Iterator[str]:
    """Serves each page, its counters grown by that much at every read (0: an idle stack); gives host:port."""
    texts = {path: "".join(file.read_text() for file in files) for path, files in pages.items()}
    reads = dict.fromkeys(pages, 0)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            reads[self.path] += 1
            body = grown(texts[self.path], 1 + reads[self.path] * growth).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with suppress(ConnectionError):  # a Prometheus that ends does not wait for it
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet: one line per scrape would bury a failing test's output."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass(frozen=True)
class Prometheus:
    url: str

    def get(self, path: str, **parameters: str) -> Any:
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(f"{parameters}: {error.status} {error.read().decode()}") from error

    def query(self, expr: str) -> list[tuple[dict[str, str], float]]:
        """(labels, value) of each series of an instant query."""
        return [(sample["metric"], float(sample["value"][1])) for sample in self.get("query", query=expr)["result"]]

    def rules(self) -> list[dict[str, Any]]:
        return [rule for group in self.get("rules")["groups"] for rule in group["rules"]]

    def ready(self) -> bool:
        """Scraped often enough for a rate over four scrapes, and every rule evaluated after that.

        OSError while it does not listen yet, and while it reads its storage (503).
        """
        urllib.request.urlopen(f"{self.url}/-/ready", timeout=10).close()
        scraped = self.query("min(count_over_time(up[1m]))")
        return bool(scraped) and scraped[0][1] >= 6 and self.evaluated()

    def evaluated(self) -> bool:
        """Every rule twice from now on: one that reads what another records sees the new value then.

        Where the machine is busy Prometheus leaves evaluations out, so no number of seconds says as much.
        """
        after = self._turns()
        wait_for(lambda: all(count >= 2 + after.get(name, 0) for name, count in self._turns().items()), 45, "two turns")
        return True

    def _turns(self) -> dict[str, float]:
        """How often each group of rules has been evaluated, as its own metrics have it."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=10) as answer:
            said = str(answer.read(), "utf-8")
        found = re.findall(r'^prometheus_rule_group_iterations_total{rule_group="(.*)"} (\S+)$', said, re.MULTILINE)
        assert found
        return {name: float(count) for name, count in found}


def configuration(target: str) -> dict[str, Any]:
    """The rendered configuration as it ships: labels, relabelling and all, but another address and a faster clock."""
    config: dict[str, Any] = yaml.safe_load(RENDERED.read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(PROMETHEUS / "rules" / "*.yaml")]
    config["scrape_configs"] = [job for job in config["scrape_configs"] if job["job_name"] != "prometheus"]
    config.pop("alerting")
    for job in config["scrape_configs"]:
        job.pop("dns_sd_configs", None)
        job.pop("scrape_interval", None)
        job["metrics_path"] = f"/{job['job_name']}"
        labels = job.get("static_configs", [{}])[0].get("labels", {})
        job["static_configs"] = [{"targets": [target], "labels": labels}]
    return config


@contextmanager
def running(tools: Path, folder: Path, target: str) -> Iterator[Prometheus]:
    config = folder / "prometheus.yaml"
    config.write_text(yaml.safe_dump(configuration(target)))
    address = f"127.0.0.1:{free_port()}"
    command: list[str | Path] = [
        tools / "prometheus",
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
        "--log.level=warn",
    ]
    log = folder / "log"
    with log.open("w") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            prometheus = Prometheus(f"http://{address}")
            wait_for(prometheus.ready, 45, lambda: f"Prometheus is not ready: {log.read_text()}")
            yield prometheus
        finally:
            process.terminate()
