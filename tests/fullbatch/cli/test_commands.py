"""The command line as a person uses it: help that helps, and each mistake one line with its exit code."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fullbatch import catalog
from fullbatch.planning import profile
from tests.fullbatch.checkout import REPOSITORY, Checkout, read_until, rest
from tests.fullbatch.cli.words import GOOD, one_line

COMMANDS = (
    *("profiles", "plan", "explain", "render", "check", "doctor", "up", "down", "status", "logs", "keys", "usage"),
    *("demo", "compare", "chat", "quality", "backup", "restore", "upgrade", "rollback", "service"),
)
PASSED_ON = ("report", "loadtest")  # their words, --help among them, are the load test's


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
    listed = [line.split()[0] for line in lines if line.startswith("  ")]
    assert sorted(listed) == profile.names(REPOSITORY)
    headings = [line for line in lines if line and not line.startswith(" ")]
    assert headings[0] == "the processor" and len(headings) == len(set(headings))


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


def test_plan_for_people_and_programs(checkout: Checkout) -> None:
    text = checkout.run("plan", "rtx4090-qwen2.5-7b")
    data = checkout.run("plan", "rtx4090-qwen2.5-7b", "--json")
    assert text.returncode == data.returncode == 0
    assert f"{json.loads(data.stdout)['kv_tokens']:,} tokens" in text.stdout
    assert text.stdout.endswith("\n")


def test_plan_of_nothing(checkout: Checkout) -> None:
    assert one_line(checkout.run("plan"), 2) == "plan: name a profile, or give --model and --gpu"


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
    said = one_line(checkout.run("plan", "--model", "meta-llama/Llama-3.1-70B-Instruct", "--gpu", "rtx4090"), 2)
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
