"""The real engine with a tiny KV cache, our gateway, Prometheus, the node exporter, and users who ask too much."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from fullbatch.planning import profile
from fullbatch.planning.plan import Plan, make
from fullbatch.runtime import templates
from fullbatch.runtime.compose import files
from fullbatch.runtime.tinymodel import write_if_missing
from tests.ports import free_port
from tests.prometheus.live import ROOT, Prometheus
from tests.prometheus.promql import PROMETHEUS
from tests.waiting import wait_for

TOOLS = ROOT / ".fullbatch" / "tools" / "bin"
ENGINE = ROOT / ".fullbatch" / "engine" / "bin" / "vllm"
NODE_EXPORTER = [
    "--collector.disable-defaults", "--collector.cpu", "--collector.meminfo", "--collector.filesystem",
    "--collector.diskstats", "--collector.loadavg", "--collector.pressure",
    "--web.disable-exporter-metrics",
]  # fmt: skip
# 40 blocks of 128 tokens: two and a half requests of the full length, where the batch has 16 slots.
BLOCKS, BLOCK_TOKENS, SLOTS, LENGTH = 40, 128, 16, 2048
KEY = "fb-test-of-the-dashboards"


@dataclass
class Users:
    """So many clients that each send one long request after another until told to stop."""

    url: str
    count: int
    outcomes: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    _open: set[http.client.HTTPConnection] = field(default_factory=set)

    def start(self) -> None:
        self._threads = [threading.Thread(target=self._user, args=(number,)) for number in range(self.count)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """They leave where they are, also in the middle of an answer or in a queue."""
        self._stop.set()
        for thread in self._threads:
            while thread.is_alive():
                self._hang_up()
                thread.join(0.1)

    def _hang_up(self) -> None:
        for connection in list(self._open):
            if connection.sock is not None:
                with suppress(OSError):  # its answer has just ended
                    connection.sock.shutdown(socket.SHUT_RDWR)

    def _user(self, number: int) -> None:
        turn = 0
        while not self._stop.is_set():
            turn += 1
            # Half of it is the same for everybody, so that the prefix cache has something to find.
            prompt = "the same beginning " * 40 + f"user {number} turn {turn} " * 12
            self.outcomes.append(self._ask({"prompt": prompt, "max_tokens": 384, "stream": True, "ignore_eos": True}))

    def _ask(self, body: dict[str, Any]) -> str:
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=120)
        self._open.add(connection)
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
        try:
            connection.request("POST", "/v1/completions", json.dumps(body | {"model": "tiny"}), headers)
            answer = connection.getresponse()
            if answer.status != 200:
                return str(answer.status)
            return "ok" if any(line.strip() == b"data: [DONE]" for line in answer) else "cut"
        except (OSError, http.client.HTTPException) as error:
            return type(error).__name__
        finally:
            self._open.discard(connection)
            connection.close()


@dataclass(frozen=True)
class Stack:
    plan: Plan
    gateway: str
    gateway_metrics: str
    engine: str
    prometheus: Prometheus


def tiny_pool() -> Plan:
    data = {
        "description": "Far too little KV cache, on purpose",
        "model": "tiny",
        "users": SLOTS,
        "context": LENGTH,
        "hardware": {"cpu": {"kv_cache_gib": 1}},
        "engine": {"args": {"num-gpu-blocks-override": BLOCKS, "max-num-seqs": SLOTS}},
    }
    return make("tiny-pool", profile.parse(data, "tiny-pool"))


@contextmanager
def running(folder: Path, hurried: Collection[str]) -> Iterator[Stack]:
    """All of it on free loopback ports, the alerts named without their `for`; what was started is ended."""
    plan, engine, gateway, node, metrics = tiny_pool(), free_port(), free_port(), free_port(), free_port()
    with ExitStack() as stack:
        start(stack, folder, "engine", _engine_command(plan, engine), _engine_environment(plan))
        start(stack, folder, "gateway", gateway_command(folder, plan, gateway, engine, metrics), dict(os.environ))
        address = f"127.0.0.1:{node}"
        exporter: list[str | Path] = [TOOLS / "node_exporter", *NODE_EXPORTER, f"--web.listen-address={address}"]
        start(stack, folder, "node", exporter, {})
        prometheus = start_prometheus(
            stack, folder, scrapes(plan, {"vllm": engine, "gateway": metrics, "node": node}, folder, hurried)
        )
        url = f"http://127.0.0.1:{gateway}"
        wait_for(lambda: healthy(f"http://127.0.0.1:{engine}"), 420, f"the engine; see {folder / 'engine.log'}")
        wait_for(lambda: healthy(url), 20, f"the gateway; see {folder / 'gateway.log'}")
        yield Stack(plan, url, f"http://127.0.0.1:{metrics}", f"http://127.0.0.1:{engine}", prometheus)


def _engine_command(plan: Plan, port: int) -> list[str | Path]:
    model = ROOT / ".fullbatch" / "models" / "cpu-tiny"
    write_if_missing(model)
    return [ENGINE, "serve", *plan.engines[0].command(str(model), "127.0.0.1", port)]


def _engine_environment(plan: Plan) -> dict[str, str]:
    cache = ROOT / ".fullbatch" / "cache"
    own = {"VLLM_CACHE_ROOT": str(cache / "vllm"), "TORCHINDUCTOR_CACHE_DIR": str(cache / "inductor")}
    return dict(os.environ) | dict(plan.engines[0].environment) | own | {"HF_HUB_OFFLINE": "1"}


def gateway_command(folder: Path, plan: Plan, port: int, engine: int, metrics: int) -> list[str | Path]:
    keys = folder / "api_keys"
    keys.write_text(f"{KEY} alice\n")
    keys.chmod(0o600)
    addresses = templates.Addresses(
        listen_host="127.0.0.1",
        listen_port=port,
        metrics_port=metrics,
        metrics_socket="",
        api_keys_file=str(keys),
        store=str(folder / "store"),
        engine_host="127.0.0.1",
        engine_port=engine,
        engine_urls={"engine": f"http://127.0.0.1:{engine}"},
        models="",
    )
    config = yaml.safe_load(templates.text(ROOT, "gateway.yaml", plan, addresses))
    assert config["engines"][0]["kv_cache_tokens"] == BLOCKS * BLOCK_TOKENS
    path = folder / "gateway.yaml"
    path.write_text(yaml.safe_dump(config))
    return [sys.executable, "-m", "gateway", "--config", path]


def scrapes(plan: Plan, ports: dict[str, int], folder: Path, hurried: Collection[str] = ()) -> dict[str, Any]:
    """The rendered configuration and the real rules, unchanged but for addresses and a scrape every second.

    The `hurried` alerts fire as soon as their condition holds; that they wait is seen by promtool (prometheus/tests),
    and here with TRUE_WINDOWS=1.
    """
    config: dict[str, Any] = yaml.safe_load(files.files(ROOT, plan)["prometheus.yaml"])
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(_rules(folder, hurried) / "*.yaml")]
    config.pop("alerting")
    config["scrape_configs"] = [job for job in config["scrape_configs"] if job["job_name"] in ports]
    for job in config["scrape_configs"]:
        job.pop("dns_sd_configs", None)
        labels = job.get("static_configs", [{}])[0].get("labels", {})
        job["static_configs"] = [{"targets": [f"127.0.0.1:{ports[job['job_name']]}"], "labels": labels}]
    return config


def _rules(folder: Path, hurried: Collection[str]) -> Path:
    """A folder with the rules as they ship, but for the `for` of the alerts named."""
    copies, found = folder / "rules", set[str]()
    copies.mkdir()
    for path in (PROMETHEUS / "rules").glob("*.yaml"):
        groups = yaml.safe_load(path.read_text())
        for rule in (rule for group in groups["groups"] for rule in group["rules"]):
            if rule.get("alert") in hurried:
                found.add(rule["alert"])
                if "TRUE_WINDOWS" not in os.environ:
                    del rule["for"]
        (copies / path.name).write_text(yaml.safe_dump(groups))
    assert found == set(hurried)
    return copies


def start_prometheus(stack: ExitStack, folder: Path, config: dict[str, Any]) -> Prometheus:
    address, path = f"127.0.0.1:{free_port()}", folder / "prometheus.yaml"
    path.write_text(yaml.safe_dump(config))
    command: list[str | Path] = [
        TOOLS / "prometheus", f"--config.file={path}", f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}", "--log.level=warn",
    ]  # fmt: skip
    start(stack, folder, "prometheus", command, dict(os.environ))
    return Prometheus(f"http://{address}")


def start(
    stack: ExitStack, folder: Path, name: str, command: Sequence[str | Path], env: dict[str, str]
) -> subprocess.Popen[bytes]:
    log = stack.enter_context((folder / f"{name}.log").open("wb"))
    process = subprocess.Popen(
        command, cwd=ROOT, env=env | {"PYTHONPATH": str(ROOT)}, stdout=log, stderr=subprocess.STDOUT
    )
    stack.callback(_end, process)
    return process


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def healthy(url: str) -> bool:
    """OSError while it does not listen, or says that it is not."""
    with urllib.request.urlopen(f"{url}/health", timeout=2) as answer:
        return bool(answer.status == 200)


def exposed(url: str) -> str:
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:
        return str(answer.read(), "utf-8")


def metric_names(url: str) -> set[str]:
    """Names of the samples that a program exposes now."""
    lines = exposed(url).splitlines()
    return {line.partition(" ")[0].partition("{")[0] for line in lines if line and not line.startswith("#")}


def first_seen(prometheus: Prometheus, alert: str, since: float) -> float | None:
    """Seconds from `since` to the first evaluation in which `alert` fired; None while it has not."""
    query = f'min_over_time(timestamp(ALERTS{{alertname="{alert}", alertstate="firing"}})[10m:1s])'
    found = prometheus.query(query)
    return min(value for _, value in found) - since if found else None
