"""A person's mistakes, each told in one line with the right exit code."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.fullbatch.checkout import Checkout
from tests.fullbatch.cli.words import GOOD, one_line


@pytest.mark.parametrize("command", ["plan", "up", "demo", "render", "check"])
def test_an_unknown_profile_says_how_to_see_those_there_are(checkout: Checkout, command: str) -> None:
    said = one_line(checkout.run(command, "cpu-tinny"), 2)
    assert said == ("profile 'cpu-tinny': no such profile (did you mean cpu-tiny?); see `fullbatch profiles`")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD + "users: [1\n", "profiles/mine.yaml: line 5, column 1: "),
        (
            GOOD + "model: cpu\n",
            "profiles/mine.yaml: line 4, column 1: not valid YAML: the key 'model' is given twice, first in line 2; "
            "keep one",
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
    line = one_line(checkout.run(command, "mine"), 2)
    assert said in line
    assert not (checkout.root / "rendered" / "mine").exists()


def test_a_model_that_cannot_fit(checkout: Checkout) -> None:
    text = "description: d\nmodel: meta-llama/Llama-3.1-8B-Instruct\nhardware: {gpu: rtx4090}\ncontext: 131072\n"
    checkout.write("profiles/mine.yaml", text)
    assert "131072 tokens do not fit the KV cache" in one_line(checkout.run("plan", "mine"), 2)


def test_a_mistake_in_a_template(checkout: Checkout) -> None:
    checkout.write("templates/gateway.yaml.j2", "a: 1\nb: {{ plan.nme | tojson }}\n")
    assert one_line(checkout.run("render"), 2).startswith("templates/gateway.yaml.j2: line 2: ")


def test_a_missing_template(checkout: Checkout) -> None:
    (checkout.root / "templates" / "gateway.yaml.j2").unlink()
    assert (
        one_line(checkout.run("render", "cpu"), 2)
        == "templates/gateway.yaml.j2: this template is missing; restore it from the repository"
    )


@pytest.mark.parametrize("words", [["down"], ["logs"], ["down", "cpu"], ["keys", "list"], ["usage", "--by", "day"]])
def test_what_is_not_running(checkout: Checkout, words: list[str]) -> None:
    assert "running" in one_line(checkout.run(*words), 6)


def test_docker_that_is_not_there(checkout: Checkout) -> None:
    assert one_line(checkout.run("up", "cpu", "--runtime", "compose"), 4).startswith("Docker is not installed; ")


def test_compose_that_is_too_old(checkout: Checkout) -> None:
    checkout.program("bin/docker", "#!/bin/sh\necho 2.20.0\n")
    said = one_line(checkout.run("up", "cpu", "--runtime", "compose"), 4)
    assert said == "Docker Compose is 2.20.0, at least 2.32.2 is needed; update the Compose plugin"


def _ports(free_port: Callable[[], int]) -> list[str]:
    """Free ones: the usual ones may be somebody's, and `up` would say so first."""
    return ["--gateway-port", str(free_port()), "--engine-port", str(free_port())]


def test_without_docker_auto_means_processes(checkout: Checkout, free_port: Callable[[], int]) -> None:
    said = one_line(checkout.run("up", "cpu-tiny", *_ports(free_port)), 4)
    assert said.endswith("run scripts/install-engine")


def test_a_place_that_cannot_be_written(checkout: Checkout, free_port: Callable[[], int]) -> None:
    checkout.engine()
    checkout.write(".fullbatch/run", "a file where a folder should be")
    said = one_line(checkout.run("up", "cpu-tiny", "--runtime", "process", *_ports(free_port)), 4)
    assert said.startswith(f"{checkout.root}/.fullbatch/run")


@pytest.mark.parametrize(
    "words", [["list", "--profile", "cpu"], ["--profile", "cpu", "list"], ["list", "--profile=cpu"]]
)
def test_keys_take_the_profile_wherever_it_stands(checkout: Checkout, words: list[str]) -> None:
    assert one_line(checkout.run("keys", *words), 6) == "profile 'cpu' is not running; start it with: fullbatch up cpu"


def test_a_python_without_our_packages_is_told_in_a_line(checkout: Checkout) -> None:
    """`python3 -m fullbatch` in a fresh clone."""
    command = [sys.executable, "-S", "-m", "fullbatch", "plan", "cpu"]
    run = subprocess.run(command, cwd=checkout.root, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 1
    (line,) = run.stderr.splitlines()
    assert line.endswith("; run scripts/setup, then .venv/bin/fullbatch")


def test_up_without_a_name_takes_the_one_in_the_env_file(checkout: Checkout) -> None:
    checkout.write(".env", "PROFILE=cpu-tinny\n")
    assert one_line(checkout.run("up"), 2).startswith("profile 'cpu-tinny': no such profile")
