"""The options of the command line, and their `--help`."""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path
from typing import Any, get_args

from common.version import VERSION
from fullbatch import catalog
from fullbatch.cli import (
    chat,
    export,
    init,
    models,
    peers,
    quality,
    service,
    simulate,
    store,
    trust,
    tune,
    upkeep,
    weights,
)
from fullbatch.cli.values import measure, port, positive, seconds, users
from fullbatch.planning.speed_settings import Method
from fullbatch.runtime import registry

EPILOG = """\
A first look:
  fullbatch demo                     ask a small real model a question, then measure it at 1, 5, 10 and 50 users
  fullbatch plan rtx4090-qwen2.5-7b  show what would start on an RTX 4090, and why
  fullbatch plan --model Qwen/Qwen2.5-7B-Instruct --gpu rtx4090 --users 50 --context 2048
  fullbatch doctor cpu               check whether this machine can run profile cpu
  fullbatch up cpu-smollm2           serve that small model on this machine, without downloads from a hub
  fullbatch chat                     talk to it
  fullbatch keys create alice        make an API key for one person
  fullbatch compare cpu-tiny-naive cpu-tiny-seed cpu-tiny    put the same load on three sets of flags

Exit codes: 0 done; 1 a check or a target failed, or no answer came; 2 a mistake in a profile or an option;
3 an invalid load test (the client was too slow); 4 this machine lacks something;
5 the engine did not start; 6 already running, or not running; 130 interrupted.
"""

WHICH = "which profile, if several are running"
JSON = "print JSON, for other programs"


class _WholeWords(argparse.HelpFormatter):
    """Help in which a name with hyphens stays on one line."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False, break_long_words=False)


class _AsWritten(_WholeWords, argparse.RawDescriptionHelpFormatter):
    """The same, with description and epilog as they are."""


class _Parser(argparse.ArgumentParser):
    """A parser, and those of its commands, with that help."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**({"formatter_class": _WholeWords} | options))


def parser(profiles: list[str]) -> argparse.ArgumentParser:
    """The whole command line; `profiles`: the names there are."""
    top = _Parser(
        prog="fullbatch",
        description="Serve an LLM with vLLM on your own GPU machine to 1-50 people, and measure how well it does.",
        epilog=EPILOG,
        formatter_class=_AsWritten,
    )
    version = f"fullbatch {VERSION}, for vLLM {catalog.engine().version}"
    top.add_argument("--version", action="version", version=version)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", title="commands")
    listing = f"one of {len(profiles)}, see `fullbatch profiles`"
    init.options(commands.add_parser("init", help="lay out a folder to run from, or bring one up to date"))
    commands.add_parser("profiles", help="list the profiles")
    _add_plan(commands, listing)
    _add_files(commands)
    export.options(commands.add_parser("export", help="write a profile for Docker Swarm or Kubernetes"), listing)
    _add_doctor(commands, listing)
    _add_running(commands, listing)
    chat.options(
        commands.add_parser("chat", help="talk to what is running: in the terminal, with one question, or in a pipe")
    )
    _add_keys(commands)
    peers.options(commands.add_parser("peers", help="use the engines of other boxes: add, list, remove"), WHICH, JSON)
    store.options(commands.add_parser("store", help="keys and usage: on this box, or in a PostgreSQL"), WHICH, JSON)
    models.options(commands.add_parser("models", help="the models of what runs: list, load, unload, pin"), JSON)
    _add_demo(commands, listing)
    _add_compare(commands, listing)
    # Their words belong to the load test, also those that begin with a dash.
    for name, text in (
        ("report", "rewrite a report (DIR), compare two (diff BEFORE AFTER), or join several (table DIR…)"),
        ("loadtest", "load-test any OpenAI-compatible server: run, compare, selfcheck, report, diff, table"),
    ):
        words = commands.add_parser(name, help=text, prefix_chars="\0", add_help=False)
        words.add_argument("words", nargs=argparse.REMAINDER)
    _add_calibrate(commands)
    simulate.options(commands.add_parser("simulate", help="what a plan would do with a load, unstarted"), listing)
    tune.options(commands.add_parser("tune", help="race settings: which serve more people within a promise"), listing)
    quality.options(commands.add_parser("quality", help="whether what runs still answers as was recorded of its model"))
    weights.options(commands.add_parser("weights", help="list the weights on this machine, or remove unneeded ones"))
    upkeep.options(commands)
    service.options(commands.add_parser("service", help="let a profile start at boot: install, uninstall, status"))
    trust.add(commands)
    return top


def _add_plan(commands: argparse._SubParsersAction[_Parser], listing: str) -> None:
    made = commands.add_parser(
        "plan",
        help="show what a profile would start: memory, capacity, and each flag with its reason",
        description="Show what a profile would start and why. With --model and --gpu: show what a card would hold.",
    )
    made.add_argument("profile", nargs="?", help=f"{listing}; options below override its settings")
    made.add_argument("--model", help="repository id from the catalog, a model's directory, or its config.json")
    made.add_argument(
        "--gpu", metavar="CARD", help=f"{', '.join(catalog.gpus())}, or any other with --memory and --bandwidth"
    )
    made.add_argument("--memory", type=measure, metavar="GIB", help="memory of one card, as nvidia-smi shows it")
    made.add_argument("--bandwidth", type=measure, metavar="GBS", help="its memory bandwidth, from its data sheet")
    made.add_argument("--capability", metavar="X.Y", help="compute capability of the card (nvidia-smi: compute_cap)")
    made.add_argument("--gpus", type=positive, metavar="N", help="cards that share the model (default: 1)")
    made.add_argument("--replicas", type=positive, metavar="N", help="copies of the model (default: 1)")
    made.add_argument("--nodes", type=positive, metavar="N", help="machines that share the model (default: 1)")
    made.add_argument("--users", type=positive, metavar="N", help="people served at the same time (default: 10)")
    made.add_argument("--context", type=positive, metavar="N", help="most tokens of one request (default: 4096)")
    made.add_argument("--goal", choices=("latency", "throughput"), help="what to optimise for (default: latency)")
    made.add_argument(
        "--workload", choices=("chat", "rag", "batch"), help="what most requests look like (default: chat)"
    )
    made.add_argument("--weights", choices=("checkpoint", "fp8"), help="fp8: convert to FP8 while loading")
    made.add_argument("--kv-cache", choices=("auto", "fp8"), help="fp8: holds twice the tokens (default: auto, 16 bit)")
    made.add_argument("--speculative", choices=get_args(Method), help="draft tokens ahead (default: off)")
    made.add_argument("--json", action="store_true", help=JSON)
    made.add_argument("--write", metavar="NAME", help="save the plan's settings as profiles/NAME.yaml")
    why = commands.add_parser("explain", help="say which flags of 2025 are default, kept, stale, harmful or gone today")
    why.add_argument("profile", help=listing)
    why.add_argument("--json", action="store_true", help=JSON)


def _add_files(commands: argparse._SubParsersAction[_Parser]) -> None:
    render = commands.add_parser("render", help="write rendered/ and profiles/schema.json from profiles and templates")
    render.add_argument("profiles", nargs="*", metavar="PROFILE", help="profiles to render (default: all)")
    render.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a file is stale")
    check = commands.add_parser("check", help="check rendered files with Docker Compose and vLLM's own flag parser")
    check.add_argument("profiles", nargs="*", metavar="PROFILE", help="profiles to check (default: all)")


def _add_doctor(commands: argparse._SubParsersAction[_Parser], listing: str) -> None:
    doctor = commands.add_parser("doctor", help="check this machine: what will not work, and how to fix it")
    doctor.add_argument("profile", nargs="?", help=f"check for this profile too; {listing}")
    doctor.add_argument("--json", action="store_true", help=JSON)
    _add_runtime(doctor)
    _add_ports(doctor)


def _add_running(commands: argparse._SubParsersAction[_Parser], listing: str) -> None:
    up = commands.add_parser("up", help="start a profile and wait for the first token")
    up.add_argument("profile", nargs="?", help=f"{listing} (default: PROFILE of shell or .env, or cpu-smollm2)")
    up.add_argument(
        "--foreground",
        action="store_true",
        help="processes only: stay, and end with exit code 5 when one of them dies, as a service does",
    )
    _add_how(up)
    down = commands.add_parser("down", help="stop what is running")
    down.add_argument("profile", nargs="?", help=WHICH)
    down.add_argument("--volumes", action="store_true", help="with Docker: also remove weights, keys and history")
    status = commands.add_parser("status", help="show what runs, whether it answers, and its KV cache")
    status.add_argument("profile", nargs="?", help="show only this profile")
    status.add_argument("--json", action="store_true", help=JSON)
    top = commands.add_parser("top", help="show batch, KV cache, queue and speed live; q ends it")
    top.add_argument("profile", nargs="?", help=WHICH)
    top.add_argument("--once", action="store_true", help="print one snapshot and exit (status 1 if nothing answers)")
    top.add_argument("--json", action="store_true", help="print one JSON object a line, for other programs")
    top.add_argument(
        "--interval", type=seconds, default=1.0, metavar="SECONDS", help="between two readings (default: 1)"
    )
    logs = commands.add_parser("logs", help="show the logs of engine and gateway")
    logs.add_argument("profile", nargs="?", help=WHICH)
    logs.add_argument("-f", "--follow", action="store_true", help="show new lines as they come")
    logs.add_argument("--tail", type=positive, default=50, metavar="N", help="last N lines of each (default: 50)")


def _add_keys(commands: argparse._SubParsersAction[_Parser]) -> None:
    keys = commands.add_parser(
        "keys",
        help="manage API keys: create, list, show, change, rotate, revoke, delete",
        description="Manage the API keys of the running gateway. Changes take effect within a second.",
        epilog="To see the first key: `docker compose exec gateway python -m gateway.keyfile --show`; without Docker "
        "read .fullbatch/run/PROFILE/api_keys. Options of a key: fullbatch keys create --help",
    )
    keys.add_argument("--profile", help=WHICH)
    keys.add_argument(
        "words", nargs=argparse.REMAINDER, metavar="create|list|show|change|rotate|revoke|delete ...", help="what to do"
    )
    usage = commands.add_parser("usage", help="show how many tokens were used, by key, model or day")
    usage.add_argument("--profile", help=WHICH)
    usage.add_argument("--by", metavar="WHAT", help="group by key, model, day, or several: day,key (default: key)")
    usage.add_argument("--since", metavar="DAY", help="first day: 2026-11-23, or 7d for the last seven days")
    usage.add_argument("--until", metavar="DAY", help="last day, included")
    form = usage.add_mutually_exclusive_group()
    for name, text in (("json", JSON), ("csv", "print CSV for a spreadsheet")):
        form.add_argument(f"--{name}", dest="form", action="store_const", const=name, help=text)


def _add_calibrate(commands: argparse._SubParsersAction[_Parser]) -> None:
    measured = commands.add_parser(
        "calibrate",
        help="compare the memory of a running engine with its plan",
        description="Compare the memory that a running engine reports with its plan. Start it first: `up`.",
    )
    measured.add_argument("profile", nargs="?", help=WHICH)
    measured.add_argument("--write", action="store_true", help="append it to fullbatch/catalog/calibration.yaml")
    measured.add_argument("--json", action="store_true", help=JSON)


def _add_demo(commands: argparse._SubParsersAction[_Parser], listing: str) -> None:
    demo = commands.add_parser(
        "demo", help="start a profile as processes, ask it, load-test it, write a report, stop it"
    )
    demo.add_argument("profile", nargs="?", default="cpu-smollm2", help=f"{listing} (default: cpu-smollm2)")
    demo.add_argument(
        "--users", type=users, default="1,5,10,50", metavar="N,N,…", help="concurrent users (default: 1,5,10,50)"
    )
    real = "for a real model on the CPU"
    demo.add_argument("--requests-per-user", type=positive, metavar="N", help=f"in each stage (default: 8; 3 {real})")
    demo.add_argument("--prompt-tokens", type=positive, metavar="N", help=f"about N (default: 128; 64 {real})")
    demo.add_argument("--max-tokens", type=positive, metavar="N", help=f"exactly N (default: 128; 32 {real})")
    demo.add_argument("--keep", action="store_true", help="leave it running, and say how to talk to it")
    _add_how(demo, runtime=False)


def _add_compare(commands: argparse._SubParsersAction[_Parser], listing: str) -> None:
    compare = commands.add_parser(
        "compare",
        help="put the same load on several profiles or servers in turn, in one report",
        description="Start each profile as processes, put the same load on all sides in turn, report, stop.",
        epilog="Words after -- go to the load test: fullbatch compare cpu-tiny llama=http://HOST:PORT -- --repeats 3",
    )
    compare.add_argument(
        "sides", nargs="+", metavar="SIDE",
        help=f"a profile ({listing}), or name=url[,model=M][,key-file=F][,metrics=URL][,pid=N][,meta=FILE]",
    )  # fmt: skip
    compare.add_argument("--out", type=Path, metavar="DIR", help="report folder (default: a new one in reports/)")
    _add_how(compare, runtime=False)
    compare.set_defaults(load=())


def _add_how(command: argparse.ArgumentParser, runtime: bool = True) -> None:
    if runtime:
        _add_runtime(command)
    else:
        command.set_defaults(runtime="auto")
    _add_ports(command)
    command.add_argument(
        "--timeout", type=positive, default=1800, metavar="SECONDS", help="limit until the first token (default: 1800)"
    )


def _add_runtime(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--runtime", choices=("auto", *registry.names()), default="auto",
        help=f"how to run it; auto (default): {registry.AUTO_IN_WORDS}",
    )  # fmt: skip


def _add_ports(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--gateway-port",
        type=port,
        metavar="PORT",
        help="the gateway's port on loopback (default: GATEWAY_PORT of shell or .env, else 8080)",
    )
    command.add_argument(
        "--engine-port",
        type=port,
        metavar="PORT",
        help="processes only: engines listen on loopback from this port on, and every user of this machine can reach "
        "them (default: sockets that only you can reach)",
    )
    command.add_argument(
        "--metrics-port",
        type=port,
        metavar="PORT",
        help="processes only: serve the metrics of gateway and engines on loopback, for your own Prometheus; every "
        "user of this machine can read them (default: a socket that only you can reach)",
    )
