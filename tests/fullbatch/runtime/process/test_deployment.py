"""The process runtime end to end: the program as a person runs it, with the fake engine in place of vLLM."""

from __future__ import annotations

import json
import stat
import urllib.error
import urllib.request
from collections.abc import Callable

from tests.fullbatch.checkout import Checkout
from tests.fullbatch.runtime.process.started import Words
from tests.waiting import wait_for


def test_up_status_logs_second_up_and_down(checkout: Checkout, words: Words) -> None:
    checkout.engine("--kv-tokens", "524288")
    up = checkout.run(*words.up())
    assert up.returncode == 0, up.stderr
    assert "is up: the first token came back through the gateway" in up.stdout
    assert f"http://127.0.0.1:{words.gateway}/v1   model: tiny" in up.stdout

    status = checkout.run("status", "--json")
    assert status.returncode == 0
    (found,) = json.loads(status.stdout)
    assert (found["profile"], found["runtime"], found["healthy"]) == ("cpu-tiny", "process", True)
    assert found["kv_tokens_planned"] == found["kv_tokens_reported"] == 524_288
    assert set(found["processes"]) == {"engine", "gateway"}
    assert "cpu-tiny (process): answers at" in checkout.run("status").stdout

    logs = checkout.run("logs", "cpu-tiny", "--tail", "5")
    assert "engine  | (EngineCore pid=2) INFO 11-23 14:01:06 [core.py:133] Initializing" in logs.stdout
    assert len(checkout.run("logs", "--tail", "1").stdout.splitlines()) <= 2

    second = checkout.run(*words.up())
    assert second.returncode == 6
    assert second.stderr.startswith("fullbatch: profile 'cpu-tiny' is already running at http://127.0.0.1:")
    assert checkout.run("status").returncode == 0, "the second up must leave the first alone"

    assert checkout.run("down", "cpu").returncode == 6
    down = checkout.run("down")
    assert down.returncode == 0
    assert down.stdout.endswith("stopped\n")
    assert checkout.processes() == []
    assert checkout.run("status").returncode == 6
    assert checkout.run("down").stderr == "fullbatch: nothing is running; there is nothing to stop\n"


def test_keys_and_usage_of_what_runs_and_of_what_has_run(checkout: Checkout, words: Words) -> None:
    checkout.engine("--kv-tokens", "524288")
    assert (
        checkout.run("keys", "list").stderr
        == "fullbatch: nothing is running; start a profile with: fullbatch up PROFILE\n"
    )
    assert checkout.run(*words.up()).returncode == 0
    made = checkout.run("keys", "create", "alice", "--requests-per-minute", "5", "--json")
    assert made.returncode == 0, made.stderr
    key = json.loads(made.stdout)["key"]
    ask = urllib.request.Request(
        f"http://127.0.0.1:{words.gateway}/v1/completions",
        json.dumps({"model": "tiny", "prompt": "x" * 40, "max_tokens": 7}).encode(),
        {"authorization": f"Bearer {key}", "content-type": "application/json"},
    )
    wait_for(lambda: _status_of(ask) == 200, 10, "the new key known")
    wait_for(lambda: "alice" in checkout.run("usage", "--csv").stdout, 10, "usage written")
    assert "alice,1,10,0,7,0" in checkout.run("usage", "--csv", "--since", "1d").stdout
    assert checkout.run("keys", "show", "bob").returncode == 2
    assert checkout.run("down").returncode == 0
    assert "alice" in checkout.run("keys", "--profile", "cpu-tiny", "list").stdout
    (line,) = [
        one
        for one in json.loads(checkout.run("usage", "--profile", "cpu-tiny", "--json").stdout)
        if one["key"] == "alice"
    ]
    assert line["completion_tokens"] == 7
    said = checkout.run("usage", "--profile", "cpu").stderr
    assert said == "fullbatch: profile 'cpu' is not running; start it with: fullbatch up cpu\n"


def _status_of(request: urllib.request.Request) -> int:
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_the_key_is_made_once_and_only_its_owner_reads_it(checkout: Checkout, words: Words) -> None:
    checkout.engine()
    keys = []
    for _ in range(2):
        assert checkout.run(*words.up()).returncode == 0
        path = checkout.root / ".fullbatch" / "run" / "cpu-tiny" / "api_keys"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        keys.append(path.read_text(encoding="utf-8").strip())
        assert keys[-1].endswith(" first"), "it has a name, which usage, logs and dashboards show"
        assert checkout.run("down").returncode == 0
    assert keys[0] == keys[1]
    assert keys[0].startswith("fb-")
    assert len(keys[0]) >= 32


def test_a_prometheus_of_ones_own_reads_everything_at_one_port(
    checkout: Checkout, words: Words, free_port: Callable[[], int]
) -> None:
    checkout.engine()
    port = free_port()
    assert checkout.run(*words.up(), "--metrics-port", str(port)).returncode == 0
    found = {}
    for page in ("metrics", "engines/engine/metrics"):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}", timeout=10) as answer:
            found[page] = answer.read().decode()
    assert 'gateway_key_requests_total{deployment="cpu-tiny",key="first"' in found["metrics"]
    assert "vllm:num_requests_running{" in found["engines/engine/metrics"]
    told = json.loads(checkout.run("top", "--once", "--json", "--interval", "0.2").stdout)
    assert told["engines_up"] == 1
    assert checkout.run("down").returncode == 0
