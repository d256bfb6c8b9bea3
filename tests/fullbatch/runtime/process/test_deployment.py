"""The process runtime end to end: the program as a person runs it, with the fake engine in place of vLLM."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from fullbatch.core.errors import HostError, UsageError
from fullbatch.planning.plan import Plan
from fullbatch.runtime.base import Ports
from fullbatch.runtime.compose.config import engine_commands
from fullbatch.runtime.process.deployment import ProcessDeployment, engine_program, tail
from tests.fullbatch.checkout import Checkout, read_until, rest
from tests.waiting import wait_for

# Never opens its port, as an engine that compiles for minutes.
LOADS_FOR_EVER = ("--fault", "slow-start", "--slow-start-s", "3600")
DIES = """
import sys
print("INFO Starting to load model tiny...", flush=True)
print("RuntimeError: the reason it died", flush=True)
sys.exit(1)
"""
# Its worker lives on when it dies, as vLLM's do for a while.
DIES_AND_LEAVES_A_WORKER = """
import subprocess, sys
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print("RuntimeError: the reason it died", flush=True)
sys.exit(1)
"""
HEARS_NO_SIGTERM = """
import signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(3600)
"""
# Becomes the parent of all orphans below it, as a container's first process, and does not wait for them.
REAPS_NOBODY = """
import ctypes, json, os, subprocess, time
PR_SET_CHILD_SUBREAPER = 36
assert ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
subprocess.run(json.loads(os.environ["UP"]), check=True)
began = time.monotonic()
subprocess.run(json.loads(os.environ["DOWN"]), check=True)
print(time.monotonic() - began)
"""


# Of a checkpoint, as far as a start without a network looks for it.
SERVED = [f"snapshots/c/{name}" for name in ("config.json", "tokenizer.json", "model.safetensors")]
# Says what it was given, then dies.
TELLS = """
import os, sys
for name in ("VLLM_RPC_BASE_PATH", "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"):
    print(name, os.environ.get(name), os.path.isdir(os.environ.get(name, "")), flush=True)
sys.exit(1)
"""


def _free_pair(port: int, other: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port + 1))
        except (OSError, OverflowError):
            return False
    return port + 1 != other


class Words:
    """Words of the command line, with ports of this test's own."""

    def __init__(self, free_port: Callable[[], int]) -> None:
        self.gateway, self.engine = free_port(), free_port()
        while not _free_pair(self.engine, self.gateway):  # a second engine listens on the next one
            self.engine = free_port()

    def up(self, profile: str = "cpu-tiny", *, on_ports: bool = False) -> list[str]:
        """`on_ports`: the engines on loopback instead of on sockets."""
        ports = ["--gateway-port", str(self.gateway), *(["--engine-port", str(self.engine)] if on_ports else [])]
        return ["up", profile, "--runtime", "process", "--timeout", "60", *ports]


@pytest.fixture
def words(free_port: Callable[[], int]) -> Words:
    return Words(free_port)


def _state_file(checkout: Checkout) -> Path:
    return checkout.root / ".fullbatch" / "run" / "cpu-tiny" / "state.json"


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
    assert checkout.run("usage", "--profile", "cpu").stderr == "fullbatch: profile 'cpu' is not running\n"


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


@pytest.mark.parametrize("engine", [DIES, DIES_AND_LEAVES_A_WORKER], ids=["alone", "with a worker"])
def test_an_engine_that_dies_ends_the_wait_with_its_last_words(checkout: Checkout, words: Words, engine: str) -> None:
    checkout.broken_engine(engine)
    began = time.monotonic()
    up = checkout.run(*words.up())
    assert up.returncode == 5
    assert time.monotonic() - began < 40
    lines = up.stderr.splitlines()
    assert lines[0].startswith("fullbatch: the engine process (")
    assert "has ended" in lines[0]
    assert lines[-1] == "fullbatch:   RuntimeError: the reason it died"
    assert "Traceback" not in up.stderr
    assert checkout.processes() == []
    assert not _state_file(checkout).exists()


def test_an_engine_killed_while_it_starts_ends_the_wait(checkout: Checkout, words: Words) -> None:
    checkout.engine(*LOADS_FOR_EVER)
    with checkout.started(*words.up()) as up:
        read_until(up, "starting the engine core")
        os.kill(_pid_of(checkout, "engine"), signal.SIGKILL)
        said = rest(up)
    assert up.returncode == 5
    assert "has ended" in said


def test_a_gateway_that_dies_is_told_in_its_own_words(checkout: Checkout, words: Words) -> None:
    checkout.engine(*LOADS_FOR_EVER)
    checkout.write("gateway/__main__.py", "raise SystemExit('gateway.yaml: no good')\n")
    up = checkout.run(*words.up())
    assert up.returncode == 5
    assert "the gateway process (" in up.stderr.splitlines()[0]
    assert up.stderr.splitlines()[0].endswith("which ends: gateway.yaml: no good")
    assert checkout.processes() == []


def test_a_time_limit_leaves_nothing(checkout: Checkout, words: Words) -> None:
    checkout.engine(*LOADS_FOR_EVER)
    command = words.up()
    command[command.index("--timeout") + 1] = "2"
    up = checkout.run(*command)
    assert up.returncode == 5
    assert "no token within 2 s (last state: starting the engine core" in up.stderr
    assert checkout.processes() == []


@pytest.mark.parametrize("which", ["gateway", "engine"])
def test_a_taken_port_names_the_process(checkout: Checkout, words: Words, which: str) -> None:
    checkout.engine()
    port = words.gateway if which == "gateway" else words.engine
    with socket.create_server(("127.0.0.1", port)):
        up = checkout.run(*words.up(on_ports=True))
    assert up.returncode == 4
    (line,) = up.stderr.splitlines()
    assert line.startswith(f"fullbatch: port {port} on 127.0.0.1 is taken by process {os.getpid()} (")
    assert line.endswith(f"stop it or choose another with --{which}-port")
    assert checkout.processes() == []


def test_one_port_for_both_is_refused(checkout: Checkout, words: Words) -> None:
    checkout.engine()
    words.engine = words.gateway
    up = checkout.run(*words.up(on_ports=True))
    assert up.returncode == 2
    assert (
        up.stderr
        == f"fullbatch: --gateway-port and --engine-port are both {words.gateway}; give one of them another port\n"
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_leaves_nothing(checkout: Checkout, words: Words, number: signal.Signals) -> None:
    checkout.engine(*LOADS_FOR_EVER)
    with checkout.started(*words.up()) as up:
        read_until(up, "starting the engine core")
        up.send_signal(number)
        said = rest(up)
    assert up.returncode == 130
    assert said.endswith("fullbatch: interrupted; what was started is stopped\n")
    assert "Traceback" not in said
    assert checkout.processes() == []
    assert not _state_file(checkout).exists()


@pytest.mark.parametrize("delay", [0.0, 0.15, 0.3, 0.45, 0.6, 0.8, 1.0, 1.3])
def test_an_interrupt_at_any_moment_leaves_nothing(checkout: Checkout, words: Words, delay: float) -> None:
    """The checkout's own clean-up fails the test when a process is left."""
    checkout.engine(*LOADS_FOR_EVER)
    with checkout.started(*words.up()) as up:
        time.sleep(delay)
        up.send_signal(signal.SIGTERM)
        rest(up)
    assert checkout.processes() == []


def test_a_second_interrupt_ends_the_patience(checkout: Checkout, words: Words) -> None:
    checkout.broken_engine(HEARS_NO_SIGTERM)
    with checkout.started(*words.up()) as up:
        read_until(up, "starting vLLM")
        log = checkout.root / ".fullbatch/run/cpu-tiny/engine.log"
        wait_for(lambda: "deaf" in log.read_text(), 20, "the engine has said so")
        up.send_signal(signal.SIGINT)
        read_until(up, "stopping the engine")
        time.sleep(0.5)
        began = time.monotonic()
        up.send_signal(signal.SIGINT)
        rest(up)
    assert time.monotonic() - began < 10
    assert up.returncode == 130
    assert checkout.processes() == []
    assert not _state_file(checkout).exists()


def test_a_terminal_that_is_gone_does_not_keep_it_from_stopping(checkout: Checkout, words: Words) -> None:
    """`fullbatch up | tee log`, and Ctrl-C takes the tee too."""
    checkout.engine(*LOADS_FOR_EVER)
    with checkout.started(*words.up()) as up:
        read_until(up, "starting the engine core")
        assert up.stdout is not None
        up.stdout.close()
        up.send_signal(signal.SIGINT)
        up.wait(60)
    assert checkout.processes() == []


def test_nohup_is_respected(checkout: Checkout, words: Words) -> None:
    checkout.engine()
    command = ["/bin/sh", "-c", "trap '' HUP; exec \"$@\"", "sh", *checkout.command(*words.up())]
    with subprocess.Popen(command, cwd=checkout.root, env=checkout.environment(), stdout=-1, text=True) as up:
        read_until(up, "starting the gateway")
        up.send_signal(signal.SIGHUP)
        assert "is up" in rest(up)
    assert up.returncode == 0
    assert checkout.run("down").returncode == 0


def test_down_cleans_up_after_an_up_that_was_killed(checkout: Checkout, words: Words) -> None:
    checkout.engine(*LOADS_FOR_EVER)
    with checkout.started(*words.up()) as up:
        read_until(up, "starting the engine core")
        up.kill()
        up.wait()
    assert len(checkout.processes()) == 2
    assert checkout.run("down", "cpu-tiny").returncode == 0
    assert checkout.processes() == []


def test_down_ends_workers_whose_engine_is_gone(checkout: Checkout, words: Words) -> None:
    checkout.broken_engine(DIES_AND_LEAVES_A_WORKER.replace("sys.exit(1)", "import time; time.sleep(60)"))
    with checkout.started(*words.up()) as up:
        read_until(up, "starting vLLM")
        wait_for(lambda: len(checkout.processes()) == 4, 20, "two engines and their children")
        engine = _pid_of(checkout, "engine")
        up.kill()
        up.wait()
    os.kill(engine, signal.SIGKILL)
    assert checkout.run("down").returncode == 0
    assert checkout.processes() == []


def test_down_does_not_wait_for_those_that_nobody_reaps(checkout: Checkout, words: Words) -> None:
    """In a container without an init process what has ended stays a zombie for ever."""
    checkout.engine()
    environment = checkout.environment() | {"UP": json.dumps(checkout.command(*words.up()))}
    environment |= {"DOWN": json.dumps(checkout.command("down"))}
    command = [sys.executable, "-c", REAPS_NOBODY]
    said = subprocess.run(command, cwd=checkout.root, env=environment, capture_output=True, text=True, check=True)
    assert float(said.stdout.splitlines()[-1]) < 20
    assert checkout.processes() == []


def test_a_stale_state_file_kills_nobody(checkout: Checkout) -> None:
    """After a reboot another program may have the pid that is written there."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True) as stranger:
        created = psutil.Process(stranger.pid).create_time() - 86_400
        entry = {"name": "engine", "pid": stranger.pid, "created": created, "log": "/nowhere"}
        known = {"profile": "cpu-tiny", "gateway_url": "http://127.0.0.1:1", "engine_urls": {}, "api_keys_file": "k"}
        checkout.write(".fullbatch/run/cpu-tiny/state.json", json.dumps(known | {"processes": [entry]}))
        down = checkout.run("down", "cpu-tiny")
        assert down.returncode == 6
        assert down.stderr == "fullbatch: profile 'cpu-tiny' is not running\n"
        assert stranger.poll() is None
        stranger.kill()


def test_a_broken_state_file_is_as_none(checkout: Checkout) -> None:
    checkout.write(".fullbatch/run/cpu-tiny/state.json", "{")
    assert checkout.run("status").returncode == 6
    assert checkout.run("down").returncode == 6


def test_a_card_profile_on_a_machine_without_one(checkout: Checkout, words: Words) -> None:
    up = checkout.run(*words.up("rtx4090-qwen2.5-7b"))
    assert up.returncode == 4
    assert "profiles/rtx4090-qwen2.5-7b.yaml wants 1 NVIDIA card(s), the driver reports: none" in up.stderr
    assert "no `vllm` on the PATH" in up.stderr
    assert not (checkout.root / ".fullbatch" / "run").exists()


def test_without_the_engine_it_says_how_to_install_it(checkout: Checkout, words: Words) -> None:
    up = checkout.run(*words.up())
    assert up.returncode == 4
    assert up.stderr == "fullbatch: vLLM's CPU wheel is not installed; run scripts/install-engine\n"


def test_the_engine_on_the_path_is_used_for_cards(
    plan_of: Callable[[str], Plan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = plan_of("rtx4090-qwen2.5-7b").engines[0]
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostError, match="no `vllm` on the PATH"):
        engine_program(tmp_path, engine)
    (tmp_path / "vllm").write_text("#!/bin/sh\n", encoding="utf-8")
    (tmp_path / "vllm").chmod(0o755)
    assert engine_program(tmp_path, engine) == str(tmp_path / "vllm")


def test_processes_run_the_rendered_command(checkout: Checkout, plan_of: Callable[[str], Plan]) -> None:
    """Compose's words after the image's own `vllm serve`, but for the model's place, host and port."""
    deployment = ProcessDeployment(checkout.root, plan_of("cpu-tiny"), Ports(gateway=9, engine=1234))
    program, serve, model, *words = deployment.engine_command("vllm", 0)
    rendered = engine_commands(checkout.root, "cpu-tiny")["engine"]
    assert (program, serve) == ("vllm", "serve")
    assert model == str(checkout.root / ".fullbatch" / "models" / "cpu-tiny")
    assert words[:-4] == rendered[1:-4]
    assert (words[-4:], rendered[-4:]) == (
        ["--host", "127.0.0.1", "--port", "1234"],
        ["--host", "0.0.0.0", "--port", "8000"],
    )


def test_the_engine_really_gets_the_rendered_words(checkout: Checkout, words: Words) -> None:
    checkout.broken_engine("import sys\nprint(*sys.argv[1:], flush=True)\nsys.exit(3)\n")
    assert checkout.run(*words.up()).returncode == 5
    said = (checkout.root / ".fullbatch" / "run" / "cpu-tiny" / "engine.log").read_text(encoding="utf-8").split()
    assert said[0] == "serve"
    assert said[2:-2] == engine_commands(checkout.root, "cpu-tiny")["engine"][1:-4]
    assert said[-2] == "--uds" and said[-1].endswith("/engine.sock")


@pytest.mark.parametrize(("text", "lines", "last"), [("", 3, []), ("a\nb\nc\n", 2, ["b", "c"]), ("a", 5, ["a"])])
def test_the_tail_of_a_log(tmp_path: Path, text: str, lines: int, last: list[str]) -> None:
    (tmp_path / "log").write_text(text, encoding="utf-8")
    assert tail(tmp_path / "log", lines) == last


def test_the_tail_of_a_large_binary_log_and_of_none(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"\xff\xfe line\n" * 100_000)
    assert len(tail(tmp_path / "log", 10)) == 10
    assert tail(tmp_path / "none", 10) == []


def _pid_of(checkout: Checkout, name: str) -> int:
    entries = json.loads(_state_file(checkout).read_text(encoding="utf-8"))["processes"]
    return next(int(entry["pid"]) for entry in entries if entry["name"] == name)


def _log(checkout: Checkout, name: str, engine: str) -> list[str]:
    return (checkout.root / ".fullbatch" / "run" / name / f"{engine}.log").read_text(encoding="utf-8").splitlines()


def test_an_engines_sockets_lie_where_their_names_fit_and_only_we_get_in(
    checkout: Checkout, words: Words, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux takes 107 characters for a socket's path; a deep checkout has them in the folder for temporary files."""
    monkeypatch.delenv("VLLM_RPC_BASE_PATH", raising=False)
    checkout.broken_engine(TELLS)
    folder = checkout.root / ".fullbatch" / "run" / "cpu-tiny" / "ipc"
    assert checkout.run(*words.up()).returncode == 5
    name, place, is_folder = _log(checkout, "cpu-tiny", "engine")[0].split()
    assert (name, is_folder) == ("VLLM_RPC_BASE_PATH", "True")
    assert (place == str(folder)) == (len(str(folder)) + 37 <= 107)
    assert not Path(place).exists(), "what an engine leaves there goes with it"


def test_engines_are_open_to_nobody_else(checkout: Checkout, words: Words) -> None:
    """On loopback every user of the machine could pass keys, limits and accounting by."""
    checkout.engine()
    assert checkout.run(*words.up()).returncode == 0
    known = json.loads(_state_file(checkout).read_text(encoding="utf-8"))
    path = Path(known["engine_urls"]["engine"].removeprefix("unix:"))
    assert stat.S_ISSOCK(path.stat().st_mode)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(_state_file(checkout).parent.stat().st_mode) == 0o700, "logs too"
    engine = psutil.Process(_pid_of(checkout, "engine"))
    family = [engine, *engine.children(recursive=True)]
    listening = [one.laddr for process in family for one in process.net_connections("inet") if one.status == "LISTEN"]
    assert listening == []
    # Likewise what every key uses: on the gateway's port nobody reads it, `top` does beside the engines.
    with urllib.request.urlopen(f"http://127.0.0.1:{words.gateway}/metrics", timeout=10) as answer:
        assert b'key="' not in answer.read()
    assert Path(known["metrics_url"].removeprefix("unix:")).parent == path.parent
    told = json.loads(checkout.run("top", "--once", "--json", "--interval", "0.2").stdout)
    assert [one["name"] for one in told["keys"]] == ["first"] and told["engines_up"] == 1
    assert checkout.run("down").returncode == 0
    assert not path.parent.exists()


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


def test_engines_on_ports_where_that_was_asked_for(checkout: Checkout, words: Words) -> None:
    checkout.engine()
    assert checkout.run(*words.up(on_ports=True)).returncode == 0
    with urllib.request.urlopen(f"http://127.0.0.1:{words.engine}/health", timeout=10) as answer:
        assert answer.status == 200
    assert checkout.run("down").returncode == 0


@pytest.mark.parametrize("becomes", ["gone", "broken", "renamed"])
def test_what_runs_can_be_seen_and_stopped_whatever_became_of_its_profile(
    checkout: Checkout, words: Words, becomes: str
) -> None:
    checkout.engine("--kv-tokens", "524288")
    assert checkout.run(*words.up()).returncode == 0
    path = checkout.root / "profiles" / "cpu-tiny.yaml"
    checkout.write("profiles/another.yaml", "modell: [")  # nobody's business either
    if becomes == "broken":
        path.write_text("users: [1\n", encoding="utf-8")
    else:
        path.rename(path.with_name("cpu-small.yaml")) if becomes == "renamed" else path.unlink()
    status = checkout.run("status", "--json")
    assert status.returncode == 0, status.stderr
    assert json.loads(status.stdout)[0]["kv_tokens_planned"] == 524_288
    assert "engine  |" in checkout.run("logs", "--tail", "3").stdout
    assert checkout.run("keys", "list").returncode == 0
    assert checkout.run("usage").returncode == 0
    assert checkout.run("top", "--once", "--interval", "0.2").returncode == 0
    down = checkout.run("down", "cpu-tiny")
    assert down.returncode == 0, down.stderr
    assert checkout.processes() == []


def test_a_state_file_of_an_older_version_is_still_stopped(checkout: Checkout, words: Words) -> None:
    checkout.engine()
    assert checkout.run(*words.up()).returncode == 0
    known = json.loads(_state_file(checkout).read_text(encoding="utf-8"))
    del known["facts"]
    checkout.write(".fullbatch/run/cpu-tiny/state.json", json.dumps(known))
    assert json.loads(checkout.run("status", "--json").stdout)[0]["kv_tokens_planned"] is None
    assert checkout.run("down").returncode == 0


def test_what_a_killed_run_left_is_gone_at_the_next_start(checkout: Checkout, words: Words) -> None:
    checkout.engine()
    left = checkout.write(".fullbatch/run/cpu-tiny/ipc/of-a-dead-engine", "")
    assert checkout.run(*words.up()).returncode == 0
    assert not left.exists()
    assert checkout.run("down").returncode == 0


def test_an_engine_that_is_started_again_when_stuck_is_seen_dead_and_stopped_like_any_other(
    checkout: Checkout, words: Words
) -> None:
    checkout.engine()
    with (checkout.root / "profiles" / "cpu-tiny.yaml").open("a") as profile:
        profile.write("engine: {restart_stuck: true}\n")
    up = checkout.run(*words.up())
    assert up.returncode == 0, up.stderr
    known = json.loads(_state_file(checkout).read_text())
    keeper = psutil.Process(next(one["pid"] for one in known["processes"] if one["name"] == "engine"))
    asked = f"--gateway http://127.0.0.1:{words.gateway}/health --engine engine"
    assert f"fullbatch.runtime.process.keeper {asked}" in " ".join(keeper.cmdline())
    (engine,) = keeper.children()
    engine.kill()
    (found,) = json.loads(checkout.run("status", "--json").stdout)
    assert len(found["failures"]) == 1, "its keeper has to end with it"
    assert checkout.run("down").returncode == 0
    assert checkout.processes() == []


def test_copies_are_processes_of_their_own_behind_one_gateway(checkout: Checkout, words: Words) -> None:
    checkout.engine("--kv-tokens", "524288")
    text = (checkout.root / "profiles/cpu-tiny.yaml").read_text(encoding="utf-8")
    checkout.write("profiles/two.yaml", text.replace("hardware: {cpu:", "hardware: {replicas: 2, cpu:"))
    up = checkout.run(*words.up("two"))
    assert up.returncode == 0, up.stdout + up.stderr
    (found,) = json.loads(checkout.run("status", "--json").stdout)
    assert set(found["processes"]) == {"engine", "engine-2", "gateway"}
    assert found["kv_tokens_planned"] == found["kv_tokens_reported"] == 2 * 524_288
    assert checkout.run("down").returncode == 0
    assert checkout.processes() == []


def have_weights(repository: Path) -> None:
    """In the hub's cache, so that nobody asks the hub."""
    for name, text in {"refs/main": "c", **dict.fromkeys(SERVED, "{}")}.items():
        (repository / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / name).write_text(text, encoding="utf-8")


def test_each_copy_sees_its_own_cards(
    checkout: Checkout, words: Words, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    have_weights(tmp_path / "hub" / "models--RedHatAI--Meta-Llama-3.1-8B-Instruct-FP8")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    checkout.program("bin/nvidia-smi", "#!/bin/sh\necho 'NVIDIA GeForce RTX 4090, 24564 MiB'\necho 'the same, again'\n")
    checkout.program("bin/vllm", f"#!{sys.executable}\n{TELLS.replace('sys.exit(1)', 'import time; time.sleep(60)')}")
    with checkout.started(*words.up("rtx4090x2-llama3.1-8b-fp8")) as up:
        read_until(up, "starting the gateway")
        for engine, card in (("engine", "0"), ("engine-2", "1")):
            line = f"CUDA_VISIBLE_DEVICES {card} False"
            _wait_says(checkout, "rtx4090x2-llama3.1-8b-fp8", engine, line)
            # As nvidia-smi and Docker number them, not the fastest first.
            order = "CUDA_DEVICE_ORDER PCI_BUS_ID False"
            _wait_says(checkout, "rtx4090x2-llama3.1-8b-fp8", engine, order)
        up.send_signal(signal.SIGINT)
        rest(up)


def test_the_card_that_a_profile_names(
    checkout: Checkout, words: Words, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first drives the screen."""
    have_weights(tmp_path / "hub" / "models--Qwen--Qwen2.5-1.5B-Instruct")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    text = (checkout.root / "profiles/rtx4090-qwen2.5-1.5b.yaml").read_text(encoding="utf-8")
    checkout.write("profiles/second.yaml", text.replace("{gpu: rtx4090}", "{gpu: rtx4090, device_ids: [1]}"))
    checkout.program("bin/nvidia-smi", "#!/bin/sh\necho 'a GeForce'\necho 'NVIDIA GeForce RTX 4090, 24564 MiB'\n")
    checkout.program("bin/vllm", f"#!{sys.executable}\n{TELLS.replace('sys.exit(1)', 'import time; time.sleep(60)')}")
    with checkout.started(*words.up("second")) as up:
        read_until(up, "starting the gateway")
        _wait_says(checkout, "second", "engine", "CUDA_VISIBLE_DEVICES 1 False")
        up.send_signal(signal.SIGINT)
        rest(up)


def _wait_says(checkout: Checkout, name: str, engine: str, line: str) -> None:
    wait_for(lambda: line in _log(checkout, name, engine), 20, lambda: f"{line}, not {_log(checkout, name, engine)}")


def test_a_profile_for_several_machines_is_none_for_processes(
    checkout: Checkout, plan_of: Callable[[str], Plan]
) -> None:
    with pytest.raises(UsageError, match="is for several machines; start it with Docker Compose on each"):
        ProcessDeployment(checkout.root, plan_of("h100x8x2-llama3.1-405b"), Ports()).preflight()


def test_weights_that_cannot_be_had_end_the_start_with_one_line_and_no_traceback(
    checkout: Checkout, words: Words, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    checkout.engine()
    up = checkout.run(*words.up("cpu"), timeout=120)
    assert up.returncode == 4, up.stderr
    *_, said, last = up.stderr.splitlines()
    assert said.startswith("fetch: http://127.0.0.1:9 does not give Qwen/Qwen2.5-0.5B-Instruct: ")
    assert last == "fullbatch: the weights of Qwen/Qwen2.5-0.5B-Instruct are not here; the line above says why"
    assert "Traceback" not in up.stderr
    assert checkout.processes() == []
