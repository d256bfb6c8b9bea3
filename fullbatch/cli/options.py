"""What the command line accepts, and what `--help` says."""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path
from typing import Any

from fullbatch import catalog
from fullbatch.cli import chat
from fullbatch.cli.values import measure, port, positive, seconds, users
from fullbatch.runtime import registry

EPILOG = """\
A first look:
  fullbatch demo                     ask a small real model something, measure it at 1, 5, 10 and 50 users
  fullbatch plan rtx4090-qwen2.5-7b  what would be started on an RTX 4090, and why
  fullbatch doctor cpu               what of this machine would not work, and the fix
  fullbatch plan --model Qwen/Qwen2.5-7B-Instruct --gpu rtx4090 --users 50 --context 2048
  fullbatch up cpu-smollm2           serve that model on this machine, without a hub
  fullbatch chat                     talk to it
  fullbatch keys create alice        a key for somebody, with limits if you like
  fullbatch compare cpu-tiny-naive cpu-tiny-seed cpu-tiny    the same load on three sets of flags

Exit codes: 0 done; 1 a check or a target failed, or no answer came; 2 a mistake in a profile or an option;
3 a load test that says nothing (the client was too slow); 4 this machine lacks something;
5 the engine did not start; 6 already running, or not running; 130 interrupted.
"""


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
        description="Serve an LLM with vLLM on your own GPU box to 1-50 people, fast, and know that it is.",
        epilog=EPILOG,
        formatter_class=_AsWritten,
    )
    version = f"fullbatch 0.1.0, for vLLM {catalog.engine().version}"
    top.add_argument("--version", action="version", version=version)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", title="commands")
    listing = f"one of {len(profiles)}, see `fullbatch profiles`"
    commands.add_parser("profiles", help="list the profiles there are")
    _add_plan(commands, listing)
    _add_files(commands)
    _add_doctor(commands, listing)
    _add_running(commands, listing)
    chat.options(
        commands.add_parser("chat", help="talk to what is running: in the terminal, one question, or in a pipe")
    )
    _add_keys(commands)
    _add_demo(commands, listing)
    _add_compare(commands, listing)
    # Their words belong to the load test, also those that begin with a dash.
    for name, text in (
        ("report", "report DIR: its page again; diff BEFORE AFTER: what became worse; table DIR…: models by users"),
        ("loadtest", "run, compare, selfcheck, report, diff, table: the load test itself"),
    ):
        words = commands.add_parser(name, help=text, prefix_chars="\0", add_help=False)
        words.add_argument("words", nargs=argparse.REMAINDER)
    _add_calibrate(commands)
    _add_weights(commands)
    return top


def _add_plan(commands: argparse._SubParsersAction[_Parser], listing: str) -> None:
    made = commands.add_parser(
        "plan",
        help="show what a profile would start: memory, capacity, each flag and why",
        description="What a profile would start and why, or, with --model and --gpu, what a card would hold.",
    )
    made.add_argument("profile", nargs="?", help=f"{listing}; options below override its settings")
    made.add_argument("--model", help="repository id of the catalog, a model's directory, or its config.json")
    made.add_argument(
        "--gpu", metavar="CARD", help=f"{', '.join(catalog.gpus())}, or any other with --memory and --bandwidth"
    )
    made.add_argument("--memory", type=measure, metavar="GIB", help="of one card, as nvidia-smi shows it")
    made.add_argument("--bandwidth", type=measure, metavar="GBS", help="of its memory, as its data sheet says")
    made.add_argument("--capability", metavar="X.Y", help="its compute capability (nvidia-smi: compute_cap)")
    made.add_argument("--gpus", type=positive, metavar="N", help="cards that share the model (default: 1)")
    made.add_argument("--replicas", type=positive, metavar="N", help="copies of the model (default: 1)")
    made.add_argument("--nodes", type=positive, metavar="N", help="machines that share the model (default: 1)")
    made.add_argument("--users", type=positive, metavar="N", help="people served at the same time (default: 10)")
    made.add_argument("--context", type=positive, metavar="N", help="tokens of a request at most (default: 4096)")
    made.add_argument("--goal", choices=("latency", "throughput"), help="default: latency")
    made.add_argument(
        "--workload", choices=("chat", "rag", "batch"), help="what most requests look like (default: chat)"
    )
    made.add_argument("--weights", choices=("checkpoint", "fp8"), help="fp8: made FP8 while loaded")
    made.add_argument("--kv-cache", choices=("auto", "fp8"), help="fp8: twice the tokens (default: auto, 16 bit)")
    made.add_argument("--json", action="store_true", help="for other programs")
    made.add_argument("--write", metavar="NAME", help="keep it as profiles/NAME.yaml")
    why = commands.add_parser("explain", help="which flags of 2025 are default, kept, stale, harmful or gone today")
    why.add_argument("profile", help=listing)
    why.add_argument("--json", action="store_true", help="for other programs")


def _add_files(commands: argparse._SubParsersAction[_Parser]) -> None:
    render = commands.add_parser("render", help="write rendered/ and profiles/schema.json from profiles and templates")
    render.add_argument("profiles", nargs="*", metavar="PROFILE", help="which (default: all)")
    render.add_argument("--check", action="store_true", help="write nothing; exit 1 when something is stale")
    check = commands.add_parser("check", help="check rendered files with Docker Compose and vLLM's own flag parser")
    check.add_argument("profiles", nargs="*", metavar="PROFILE", help="which (default: all)")


def _add_doctor(commands: argparse._SubParsersAction[_Parser], listing: str) -> None:
    doctor = commands.add_parser("doctor", help="what of this machine will not work, and what to do about it")
    doctor.add_argument("profile", nargs="?", help=f"check for this one too; {listing}")
    doctor.add_argument("--json", action="store_true", help="for other programs")
    _add_runtime(doctor)
    _add_ports(doctor)


def _add_running(commands: argparse._SubParsersAction[_Parser], listing: str) -> None:
    up = commands.add_parser("up", help="start a profile and wait until a real token has come back")
    up.add_argument("profile", nargs="?", help=f"{listing} (default: PROFILE of shell or .env, or cpu)")
    _add_how(up)
    down = commands.add_parser("down", help="stop what is running")
    down.add_argument("profile", nargs="?", help="which, when several are running")
    down.add_argument("--volumes", action="store_true", help="with Docker: weights, keys and history too")
    status = commands.add_parser("status", help="what is running, whether it answers, KV cache planned and reported")
    status.add_argument("profile", nargs="?", help="only this one")
    status.add_argument("--json", action="store_true", help="for other programs")
    top = commands.add_parser("top", help="batch, KV cache, queue and speed of what is running, live; q ends it")
    top.add_argument("profile", nargs="?", help="which, when several are running")
    top.add_argument("--once", action="store_true", help="print one snapshot and exit (status 1 if nothing answers)")
    top.add_argument("--json", action="store_true", help="for other programs: one object a line")
    top.add_argument("--interval", type=seconds, default=1.0, metavar="SECONDS", help="between looks (default: 1)")
    logs = commands.add_parser("logs", help="show the logs of engine and gateway")
    logs.add_argument("profile", nargs="?", help="which, when several are running")
    logs.add_argument("-f", "--follow", action="store_true", help="go on showing what comes")
    logs.add_argument("--tail", type=positive, default=50, metavar="N", help="last N lines of each (default: 50)")


def _add_keys(commands: argparse._SubParsersAction[_Parser]) -> None:
    which = "which, when several are running"
    keys = commands.add_parser(
        "keys",
        help="API keys of the gateway: create, list, show, change, rotate, revoke",
        description="API keys of the running gateway; they work, and end, within a second.",
        epilog="The key of the first start: `docker compose exec gateway python -m gateway.keyfile --show`, or, "
        "without Docker, .fullbatch/run/PROFILE/api_keys. More: fullbatch keys create --help",
    )
    keys.add_argument("--profile", help=which)
    keys.add_argument(
        "words", nargs=argparse.REMAINDER, metavar="create|list|show|change|rotate|revoke|delete ...", help="what"
    )
    usage = commands.add_parser("usage", help="tokens that were used, by key, model or day")
    usage.add_argument("--profile", help=which)
    usage.add_argument("--by", metavar="WHAT", help="key, model, day, or several: day,key (default: key)")
    usage.add_argument("--since", metavar="DAY", help="2026-11-23, or 7d for the last seven days")
    usage.add_argument("--until", metavar="DAY", help="this day included")
    form = usage.add_mutually_exclusive_group()
    for name, text in (("json", "for other programs"), ("csv", "for a spreadsheet")):
        form.add_argument(f"--{name}", dest="form", action="store_const", const=name, help=text)


def keys_profile(words: list[str]) -> tuple[str | None, list[str]]:
    """`--profile X` out of the words of `keys`, wherever it stands among them; the others as they are."""
    for number, word in enumerate(words):
        if word == "--profile" and number + 1 < len(words):
            return words[number + 1], [*words[:number], *words[number + 2 :]]
        if word.startswith("--profile="):
            return word.partition("=")[2], [*words[:number], *words[number + 1 :]]
    return None, words


def _add_calibrate(commands: argparse._SubParsersAction[_Parser]) -> None:
    measured = commands.add_parser(
        "calibrate",
        help="what a running engine says of its memory, against its plan",
        description="What a running engine says of its memory, against its plan. Start it first: fullbatch up PROFILE.",
    )
    measured.add_argument("profile", nargs="?", help="which, when several are running")
    measured.add_argument("--write", action="store_true", help="append it to fullbatch/catalog/calibration.yaml")
    measured.add_argument("--json", action="store_true", help="for other programs")


def _add_weights(commands: argparse._SubParsersAction[_Parser]) -> None:
    weights = commands.add_parser("weights", help="which weights lie on this machine; remove what no profile wants")
    actions = weights.add_subparsers(dest="action", required=True, metavar="list|prune")
    listed = actions.add_parser("list", help="model, revision, size, last use, and the profiles that want it")
    prune = actions.add_parser(
        "prune",
        help="remove what no profile wants, after a question; never what runs",
        description="Remove revisions that no profile wants, after a question; never what runs. In a cache that other "
        "programs use too, a model that is not in the catalog goes only when it is named.",
    )
    prune.add_argument("models", nargs="*", metavar="MODEL[@REVISION]", help="these only (default: all unwanted)")
    prune.add_argument("--dry-run", action="store_true", help="show what would go, remove nothing")
    prune.add_argument("--yes", action="store_true", help="do not ask")
    for one in (listed, prune):
        one.add_argument("--json", action="store_true", help="for other programs")


def _add_demo(commands: argparse._SubParsersAction[_Parser], listing: str) -> None:
    demo = commands.add_parser(
        "demo", help="start a profile as processes, ask it, drive the concurrency plan, report, stop"
    )
    demo.add_argument("profile", nargs="?", default="cpu-smollm2", help=f"{listing} (default: cpu-smollm2)")
    demo.add_argument(
        "--users", type=users, default="1,5,10,50", metavar="N,N,…", help="concurrent users (default: 1,5,10,50)"
    )
    real = "of a real model on the processor"
    demo.add_argument("--requests-per-user", type=positive, metavar="N", help=f"in each stage (default: 8; 3 {real})")
    demo.add_argument("--prompt-tokens", type=positive, metavar="N", help=f"about (default: 128; 64 {real})")
    demo.add_argument("--max-tokens", type=positive, metavar="N", help=f"exactly (default: 128; 32 {real})")
    demo.add_argument("--keep", action="store_true", help="leave it running, and say how to talk to it")
    _add_how(demo, runtime=False)


def _add_compare(commands: argparse._SubParsersAction[_Parser], listing: str) -> None:
    compare = commands.add_parser(
        "compare",
        help="the same load on several profiles or servers, in turn, in one report",
        description="Start each profile as processes, drive the same load through all sides in turn, report, stop.",
        epilog="Words after -- go to the load test: fullbatch compare cpu-tiny llama=http://HOST:PORT -- --repeats 3",
    )
    compare.add_argument(
        "sides", nargs="+", metavar="SIDE",
        help=f"a profile ({listing}), or name=url[,model=M][,key-file=F][,metrics=URL][,pid=N][,meta=FILE]",
    )  # fmt: skip
    compare.add_argument("--out", type=Path, metavar="DIR", help="for the report (default: reports/ and the time)")
    _add_how(compare, runtime=False)
    compare.set_defaults(load=())


def _add_how(command: argparse.ArgumentParser, runtime: bool = True) -> None:
    if runtime:
        _add_runtime(command)
    else:
        command.set_defaults(runtime="auto")
    _add_ports(command)
    command.add_argument(
        "--timeout", type=positive, default=1800, metavar="SECONDS", help="until the first token (default: 1800)"
    )


def _add_runtime(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--runtime", choices=("auto", *registry.names()), default="auto",
        help=f"what runs it; auto (default): {registry.AUTO_IN_WORDS}",
    )  # fmt: skip


def _add_ports(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--gateway-port",
        type=port,
        metavar="PORT",
        help="on loopback (default: GATEWAY_PORT of shell or .env, else 8080)",
    )
    command.add_argument(
        "--engine-port",
        type=port,
        metavar="PORT",
        help="processes only: engines on loopback from this port on, open to every user of this machine "
        "(default: sockets that only you can reach)",
    )
    command.add_argument(
        "--metrics-port",
        type=port,
        metavar="PORT",
        help="processes only: metrics of gateway and engines on loopback, for a Prometheus of your own; every user of "
        "this machine can read them (default: a socket that only you can reach)",
    )
