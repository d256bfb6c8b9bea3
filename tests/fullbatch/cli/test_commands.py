"""The command line as a person uses it: help that helps, and each mistake one line with its exit code."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fullbatch import catalog
from fullbatch.planning import profile
from tests.fullbatch.checkout import REPOSITORY, Checkout, read_until, rest

COMMANDS = (
    *("profiles", "plan", "explain", "render", "check", "doctor", "up", "down", "status", "logs", "keys", "usage"),
    *("demo", "compare", "chat", "quality"),
)
PASSED_ON = ("report", "loadtest")  # their words, --help among them, are the load test's
GOOD = "description: mine\nmodel: tiny\nhardware: {cpu: {kv_cache_gib: 1}}\n"


def _one_line(run: subprocess.CompletedProcess[str], code: int) -> str:
    assert run.returncode == code, run.stderr
    assert "Traceback" not in run.stderr + run.stdout
    (line,) = run.stderr.splitlines()
    assert line.startswith("fullbatch: ")
    return line.removeprefix("fullbatch: ")


def test_help_names_every_command_and_exit_code(checkout: Checkout) -> None:
    run = checkout.run("--help")
    assert run.returncode == 0
    assert all(f"\n    {name} " in run.stdout for name in COMMANDS + PASSED_ON)
    assert "A first look:" in run.stdout
    codes = run.stdout[run.stdout.index("Exit codes:") :]
    assert all(f"{code} " in codes for code in (0, 1, 2, 3, 4, 5, 6, 130))


@pytest.mark.parametrize("command", COMMANDS)
def test_each_option_is_explained(checkout: Checkout, command: str) -> None:
    text = checkout.run(command, "--help").stdout
    assert text.startswith(f"usage: fullbatch {command} ")
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if line.startswith("  -"):
            following = lines[number + 1] if number + 1 < len(lines) else ""
            assert "  " in line.strip() or following.startswith(" " * 20), line


def test_the_version_names_the_engine(checkout: Checkout) -> None:
    assert checkout.run("--version").stdout.strip().endswith(f"for vLLM {catalog.engine().version}")


def test_the_profiles(checkout: Checkout) -> None:
    lines = checkout.run("profiles").stdout.splitlines()
    assert [line.split()[0] for line in lines] == profile.names(REPOSITORY)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["serve"], "invalid choice: 'serve'"),
        (["plan", "--memory", "much"], "'much': write a number above 0"),
        (["explain"], "required: profile"),
        (["up", "--runtime", "podman"], "invalid choice: 'podman'"),
        (["up", "--gateway-port", "99999"], "'99999': write a port from 1 to 65535"),
        (["up", "--engine-port", "http"], "'http': write a port from 1 to 65535"),
        (["up", "--timeout", "0"], "'0': write a whole number above 0"),
        (["demo", "--users", "1,five"], "'1,five': write numbers of users separated by commas, such as 1,5,10,50"),
        (["demo", "--users", "1,,5"], "write numbers of users"),
        (["demo", "--users", "0"], "write numbers of users"),
        (["demo", "--max-tokens", "-1"], "'-1': write a whole number above 0"),
        (["logs", "--tail", "0"], "'0': write a whole number above 0"),
        (["logs", "--tail", "-5"], "write a whole number above 0"),
    ],
)
def test_a_wrong_option(checkout: Checkout, words: list[str], said: str) -> None:
    run = checkout.run(*words)
    assert run.returncode == 2
    assert run.stderr.startswith("usage: fullbatch")
    assert said in run.stderr.splitlines()[-1]
    assert "Traceback" not in run.stderr


def test_alone_it_prints_the_help(checkout: Checkout) -> None:
    run = checkout.run()
    assert run.returncode == 0
    assert run.stdout == checkout.run("--help").stdout
    assert "fullbatch plan rtx4090-qwen2.5-7b" in run.stdout


@pytest.mark.parametrize("command", ["plan", "explain", "doctor", "up", "demo", "compare"])
def test_help_names_no_profile_and_breaks_no_name(checkout: Checkout, command: str) -> None:
    said = checkout.run(command, "--help").stdout
    assert "see `fullbatch profiles`" in " ".join(said.split())
    names = set(profile.names(REPOSITORY)) - {"cpu", "cpu-smollm2", "cpu-tiny", "naive"}
    assert not [name for name in names if name in said]
    assert not [line for line in said.splitlines() if re.search(r"\w-$", line)]


@pytest.mark.parametrize("command", ["plan", "up", "demo", "render", "check"])
def test_an_unknown_profile_says_how_to_see_those_there_are(checkout: Checkout, command: str) -> None:
    said = _one_line(checkout.run(command, "cpu-tinny"), 2)
    assert said == ("profile 'cpu-tinny': no such profile (did you mean cpu-tiny?); see `fullbatch profiles`")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD + "users: [1\n", "profiles/mine.yaml: line 5, column 1: "),
        (
            GOOD + "model: cpu\n",
            "profiles/mine.yaml: line 4, column 1: the key 'model' is given twice, first in line 2; keep one",
        ),
        (GOOD + "contxt: 2048\n", "profiles/mine.yaml: contxt: no such setting (did you mean context?)"),
        (GOOD + "context: 2026-13-45\n", "profiles/mine.yaml: not valid YAML: month must be in 1..12"),
        (GOOD + "users: ten\n", "profiles/mine.yaml: users: 'ten' should be a valid integer"),
        (GOOD + "engine: {args: {max-num-seqs: lots}}\n", "profiles/mine.yaml: engine.args.max-num-seqs: 'lots': "),
        ("", "profiles/mine.yaml: a profile is a mapping of settings such as 'model: …', this is empty"),
    ],
)
@pytest.mark.parametrize("command", ["plan", "render", "up"])
def test_a_mistake_in_a_profile(checkout: Checkout, text: str, said: str, command: str) -> None:
    checkout.write("profiles/mine.yaml", text)
    line = _one_line(checkout.run(command, "mine"), 2)
    assert said in line
    assert not (checkout.root / "rendered" / "mine").exists()


def test_a_model_that_cannot_fit(checkout: Checkout) -> None:
    text = "description: d\nmodel: meta-llama/Llama-3.1-8B-Instruct\nhardware: {gpu: rtx4090}\ncontext: 131072\n"
    checkout.write("profiles/mine.yaml", text)
    assert "131072 tokens do not fit the KV cache" in _one_line(checkout.run("plan", "mine"), 2)


def test_a_mistake_in_a_template(checkout: Checkout) -> None:
    checkout.write("templates/gateway.yaml.j2", "a: 1\nb: {{ plan.nme | tojson }}\n")
    assert _one_line(checkout.run("render"), 2).startswith("templates/gateway.yaml.j2: line 2: ")


def test_a_missing_template(checkout: Checkout) -> None:
    (checkout.root / "templates" / "gateway.yaml.j2").unlink()
    assert (
        _one_line(checkout.run("render", "cpu"), 2)
        == "templates/gateway.yaml.j2: this template is missing; restore it from the repository"
    )


@pytest.mark.parametrize("words", [["down"], ["logs"], ["down", "cpu"], ["keys", "list"], ["usage", "--by", "day"]])
def test_what_is_not_running(checkout: Checkout, words: list[str]) -> None:
    assert "running" in _one_line(checkout.run(*words), 6)


def test_help_on_keys_needs_nothing_that_runs(checkout: Checkout) -> None:
    run = checkout.run("keys", "create", "--help")
    assert run.returncode == 0, run.stderr
    assert "--requests-per-minute" in run.stdout and "--expires" in run.stdout
    assert run.stdout.startswith("usage: fullbatch keys create "), "what a person types, without the store"
    assert "--store" not in checkout.run("keys", "list", "--help").stdout


def test_status_of_nothing(checkout: Checkout) -> None:
    assert (checkout.run("status").stdout, checkout.run("status").returncode) == ("nothing is running\n", 6)
    assert checkout.run("status", "cpu").stdout == "profile 'cpu' is not running\n"
    assert json.loads(checkout.run("status", "--json").stdout) == []


def test_docker_that_is_not_there(checkout: Checkout) -> None:
    assert _one_line(checkout.run("up", "cpu", "--runtime", "compose"), 4).startswith("Docker is not installed; ")


def test_compose_that_is_too_old(checkout: Checkout) -> None:
    checkout.program("bin/docker", "#!/bin/sh\necho 2.20.0\n")
    said = _one_line(checkout.run("up", "cpu", "--runtime", "compose"), 4)
    assert said == "Docker Compose is 2.20.0, at least 2.32.2 is needed; update the Compose plugin"


def _ports(free_port: Callable[[], int]) -> list[str]:
    """Free ones: the usual ones may be somebody's, and `up` would say so first."""
    return ["--gateway-port", str(free_port()), "--engine-port", str(free_port())]


def test_without_docker_auto_means_processes(checkout: Checkout, free_port: Callable[[], int]) -> None:
    said = _one_line(checkout.run("up", "cpu-tiny", *_ports(free_port)), 4)
    assert said.endswith("run scripts/install-engine")


def test_a_place_that_cannot_be_written(checkout: Checkout, free_port: Callable[[], int]) -> None:
    checkout.engine()
    checkout.write(".fullbatch/run", "a file where a folder should be")
    said = _one_line(checkout.run("up", "cpu-tiny", "--runtime", "process", *_ports(free_port)), 4)
    assert said.startswith(f"{checkout.root}/.fullbatch/run")


def test_plan_for_people_and_programs(checkout: Checkout) -> None:
    text = checkout.run("plan", "rtx4090-qwen2.5-7b")
    data = checkout.run("plan", "rtx4090-qwen2.5-7b", "--json")
    assert text.returncode == data.returncode == 0
    assert f"{json.loads(data.stdout)['kv_tokens']:,} tokens" in text.stdout
    assert text.stdout.endswith("\n")


def test_plan_of_nothing(checkout: Checkout) -> None:
    assert _one_line(checkout.run("plan"), 2) == "plan: name a profile, or give --model and --gpu"


def test_a_plan_does_not_wait_for_what_it_does_not_use() -> None:
    """The Docker SDK and Jinja take longer to load than a plan to make."""
    program = (
        "import sys, fullbatch.cli as c; c.main(['plan', 'cpu']); print(sorted({'docker', 'jinja2'} & {*sys.modules}))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=60
    )
    assert run.stdout.splitlines()[-1] == "[]"


def test_a_question_answered_and_kept(checkout: Checkout) -> None:
    words = (
        "plan",
        "--model",
        "meta-llama/Llama-3.1-8B-Instruct",
        "--gpu",
        "rtx4090",
        "--users",
        "50",
        "--context",
        "2048",
    )
    text = checkout.run(*words)
    assert text.returncode == 0, text.stderr
    assert "First limit: the KV cache: 38 requests of half the context fit, 50 people ask" in text.stdout
    assert "fp8 weights (RedHatAI/Meta-Llama-3.1-8B-Instruct-FP8)" in text.stdout
    asked = checkout.run(*words, "--json", "--write", "mine")
    data = json.loads(asked.stdout)
    keys = {"kv_tokens", "kv_bytes_per_token", "weights_bytes", "max_concurrency_worst", "max_concurrency_typical"}
    assert keys | {"flags", "reasons", "better", "gives_first"} <= set(data)
    assert asked.stderr == "wrote profiles/mine.yaml; next: fullbatch render mine\n"
    assert checkout.run("render", "mine").returncode == 0
    assert json.loads(checkout.run("plan", "mine", "--json").stdout)["flags"] == data["flags"]


def test_what_cannot_work_is_refused_with_what_would(checkout: Checkout) -> None:
    said = _one_line(checkout.run("plan", "--model", "meta-llama/Llama-3.1-70B-Instruct", "--gpu", "rtx4090"), 2)
    assert "this would work: hardware.count: 2 with int4 weights" in said


def test_the_flags_of_2025_explained(checkout: Checkout) -> None:
    text = checkout.run("explain", "rtx4090-qwen2.5-7b").stdout
    assert all(title in text for title in ("Default today", "Kept", "Stale", "Harmful", "Refused by this vLLM"))
    lines = json.loads(checkout.run("explain", "cpu", "--json").stdout)
    assert {line["flag"] for line in lines} >= {"swap-space", "max-num-seqs", "enable-prefix-caching"}


def test_render_check_and_render(checkout: Checkout) -> None:
    assert checkout.run("render", "--check").returncode == 0
    checkout.write("profiles/mine.yaml", GOOD)
    stale = checkout.run("render", "--check")
    assert stale.returncode == 1
    assert "rendered/mine/compose.yaml: stale or missing; run `fullbatch render`" in stale.stdout
    assert not (checkout.root / "rendered" / "mine").exists()
    written = checkout.run("render")
    assert written.returncode == 0
    assert "wrote rendered/mine/gateway.yaml" in written.stdout
    assert checkout.run("render", "--check").returncode == 0


def test_check_tells_what_is_wrong_and_what_it_left_out(checkout: Checkout) -> None:
    good = checkout.run("check")
    assert good.returncode == 0, good.stdout + good.stderr
    assert "not checked: engine flags: vLLM is not installed here" in good.stdout
    checkout.write("rendered/cpu/gateway.yaml", "edited: by hand\n")
    bad = checkout.run("check", "cpu")
    assert bad.returncode == 1
    assert "rendered/cpu/gateway.yaml: stale or missing" in bad.stdout


def test_a_reader_that_goes_away_is_no_mistake(checkout: Checkout) -> None:
    """`fullbatch plan … | head -1`"""
    checkout.write("profiles/mine.yaml", GOOD.replace("mine", "x" * 200_000))
    with subprocess.Popen(
        checkout.command("plan", "mine"), cwd=checkout.root, env=checkout.environment(), stdout=-1, stderr=-1
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline(1)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 0


def test_following_logs_shows_what_comes_and_ends_on_ctrl_c(checkout: Checkout) -> None:
    log = checkout.write(".fullbatch/run/cpu/engine.log", "first\n")
    with subprocess.Popen(["/bin/sleep", "60"], cwd=checkout.root, start_new_session=True) as engine:
        created = _created(engine.pid)
        entry = {"name": "engine", "pid": engine.pid, "created": created, "log": str(log)}
        known = {"profile": "cpu", "gateway_url": "u", "engine_urls": {}, "api_keys_file": "k", "processes": [entry]}
        checkout.write(".fullbatch/run/cpu/state.json", json.dumps(known))
        with checkout.started("logs", "-f") as logs:
            read_until(logs, "engine  | first")
            time.sleep(0.5)
            with log.open("a", encoding="utf-8") as file:
                file.write("second\n")
            read_until(logs, "engine  | second")
            logs.send_signal(signal.SIGINT)
            assert rest(logs) == "fullbatch: interrupted\n"
        assert logs.returncode == 130
        assert engine.poll() is None, "looking at logs must not stop anything"
        engine.kill()


def _created(pid: int) -> float:
    """Seconds since the epoch, from the kernel's own clock ticks."""
    ticks = int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[19])
    uptime = float(Path("/proc/uptime").read_text(encoding="utf-8").split()[0])
    return time.time() - uptime + ticks / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize(
    "words", [["list", "--profile", "cpu"], ["--profile", "cpu", "list"], ["list", "--profile=cpu"]]
)
def test_keys_take_the_profile_wherever_it_stands(checkout: Checkout, words: list[str]) -> None:
    assert _one_line(checkout.run("keys", *words), 6) == "profile 'cpu' is not running; start it with: fullbatch up cpu"


def test_a_python_without_our_packages_is_told_in_a_line(checkout: Checkout) -> None:
    """`python3 -m fullbatch` in a fresh clone."""
    command = [sys.executable, "-S", "-m", "fullbatch", "plan", "cpu"]
    run = subprocess.run(command, cwd=checkout.root, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 1
    (line,) = run.stderr.splitlines()
    assert line.endswith("; run scripts/setup, then .venv/bin/fullbatch")


def test_up_without_a_name_takes_the_one_in_the_env_file(checkout: Checkout) -> None:
    checkout.write(".env", "PROFILE=cpu-tinny\n")
    assert _one_line(checkout.run("up"), 2).startswith("profile 'cpu-tinny': no such profile")
