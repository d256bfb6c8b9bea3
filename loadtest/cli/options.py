"""The options of the load test, their `--help`, and the workload and arrivals that they choose."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NoReturn

from loadtest.cli import record
from loadtest.cli.values import above_zero, at_least, percent, port, rates, users
from loadtest.core.errors import UsageProblem
from loadtest.workload.arrivals import MODES, Arrivals
from loadtest.workload.registry import make_source, source_options
from loadtest.workload.schema import names, rates_fault, read_workload
from loadtest.workload.source import PARTS, RequestSource, starts_of

EXIT_CODES = """\
exit codes: 0 targets met, or ran clean; 1 a target missed, or requests failed; 2 a mistake in an option or a file;
3 the run is invalid (client too slow, beyond what the self check covered, or no good answer); 4 server unreachable or
key refused; 130 stopped by Ctrl-C (the report so far is written)"""
SIDES = """\
Put the same workload on several OpenAI-compatible servers in turn.
A side is name=url[,model=M][,key-file=F][,metrics=URL][,pid=N][,meta=FILE]. At each stage the sides take turns. All get
the same prompts, except that the first word is each side's own, so that no side profits from another's prefix cache.
`fullbatch compare` also starts profiles."""
_OBEY_S = 300.0
_AS_RECORDED = (1.0,)


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the whole usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see --help)\n")


def parser(prog: str = "python -m loadtest") -> argparse.ArgumentParser:
    """`prog`: what was typed before the command."""
    top = Parser(prog=prog, description="Load-test any OpenAI-compatible server.")
    commands = top.add_subparsers(dest="command", required=True, parser_class=Parser)
    form = argparse.RawDescriptionHelpFormatter
    run = commands.add_parser(
        "run", help="load-test one server and write a report", epilog=EXIT_CODES, formatter_class=form
    )
    _server_arguments(run)
    _plan_arguments(run)
    _judging_arguments(run)
    compare = commands.add_parser(
        "compare",
        help="put the same workload on several servers in turn",
        description=SIDES,
        epilog=EXIT_CODES,
        formatter_class=form,
    )
    compare.add_argument(
        "sides", nargs="+", metavar="NAME=URL[,…]", help="two or more servers; the first is compared with the others"
    )
    _plan_arguments(compare)
    _judging_arguments(compare)
    _selfcheck_arguments(
        commands.add_parser(
            "selfcheck", help="measure the client's own error with a server whose times are known", formatter_class=form
        )
    )
    _report_arguments(commands)
    record.options(commands.add_parser("record", help="make an anonymous trace of the gateway's log, for run --trace"))
    return top


def _report_arguments(commands: argparse._SubParsersAction[Parser]) -> None:
    again = commands.add_parser("report", help="rewrite report.html and the CSV files from report.json")
    again.add_argument("directory", type=Path, help="folder of report.json")
    again.add_argument(
        "--target", type=Path, metavar="FILE", help="judge by these targets; this changes report.json too"
    )
    _prometheus_argument(again)
    _table_arguments(commands)
    diff = commands.add_parser(
        "diff",
        help="say what became worse between two reports",
        description="Say what became worse between two reports of the same plan, beyond what chance explains.",
        epilog="exit codes: 0 nothing became worse; 1 something did; 2 a mistake in an option or a file; 3 the reports "
        "cannot be compared",
    )
    diff.add_argument("before", type=Path, help="folder of the earlier report")
    diff.add_argument("after", type=Path, help="folder of the later report")
    diff.add_argument(
        "--tolerance", type=percent, default=5.0, metavar="PERCENT", help="ignore changes up to this (default 5)"
    )
    diff.add_argument("--json", action="store_true", help="print JSON, for other programs")


def _table_arguments(commands: argparse._SubParsersAction[Parser]) -> None:
    table = commands.add_parser(
        "table",
        help="put several reports into one table, models by users",
        description="Put several reports into one table, models by users. Make one run for each model first.",
        epilog="exit codes: the worst of the reports' (0 clean; 1 a target missed, or requests failed; 3 invalid; "
        "130 stopped); 2 a mistake in an option or a file",
    )
    table.add_argument("reports", type=Path, nargs="+", metavar="REPORT", help="folder of a report, or its report.json")
    table.add_argument("--html", type=Path, metavar="FILE", help="also write the table as a web page")
    table.add_argument("--csv", type=Path, metavar="FILE", help="also write the table for a spreadsheet")
    table.add_argument("--json", action="store_true", help="print JSON, for other programs")


def _prometheus_argument(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--prometheus", action="append", default=[], metavar="[SIDE=]URL",
        help="read batch size and KV use over time from this Prometheus; give it once for each side",
    )  # fmt: skip


def _processes_argument(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--processes", type=at_least(1), default=1, metavar="N",
        help="number of client processes; they share users and arrivals (default 1)",
    )  # fmt: skip


def _server_arguments(run: argparse.ArgumentParser) -> None:
    run.add_argument(
        "--base-url", metavar="URL", help="the server (default: $FULLBATCH_HOST, else http://127.0.0.1:8080)"
    )
    run.add_argument("--model", default="", help="model name from /v1/models (default: the only one there)")
    run.add_argument(
        "--api-key-file", type=Path, metavar="FILE",
        help="file with one key per line; the first is used, unless the workload names others (default: the key in "
        "$FULLBATCH_API_KEY, else the file in $FULLBATCH_KEY_FILE, else no key)",
    )  # fmt: skip
    run.add_argument(
        "--engine-metrics",
        action="append",
        default=[],
        metavar="URL",
        help="/metrics of a vLLM to sample; may be repeated",
    )
    run.add_argument(
        "--pid", action="append", default=[], type=at_least(1), metavar="PID",
        help="root of a process tree whose memory is measured; may be repeated",
    )  # fmt: skip


def _plan_arguments(run: argparse.ArgumentParser) -> None:
    run.add_argument(
        "--workload", default="seed", metavar="NAME", help=f"{', '.join(names())}, or a path (default: seed)"
    )
    _source_arguments(run)
    run.add_argument("--mode", choices=MODES, help="how requests arrive (default: from the workload)")
    run.add_argument("--users", type=users, help="a stage for each number: 1,5,10,50 (default: from the workload)")
    run.add_argument(
        "--requests-per-user",
        type=at_least(1),
        metavar="N",
        help="requests of each user in a stage of a closed loop (default: from the workload)",
    )
    run.add_argument(
        "--rates",
        type=rates,
        metavar="R,R",
        help="with open: requests/s of each stage; with ramp: from,to; with replay: times as fast",
    )
    run.add_argument("--seconds", type=above_zero, metavar="S", help="length of each stage with open, ramp or soak")
    run.add_argument(
        "--repeats", type=at_least(1), default=1, metavar="N", help="run the whole plan N times (default 1)"
    )
    run.add_argument(
        "--max-tokens", type=at_least(1), metavar="N", help="length of each answer (default: from the workload)"
    )
    run.add_argument(
        "--prompt-tokens", type=at_least(1), metavar="N", help="approximate prompt length (default: from the workload)"
    )
    run.add_argument(
        "--warmup", type=at_least(0), default=2, metavar="N",
        help="short requests of each user before a stage, not counted (default 2)",
    )  # fmt: skip
    run.add_argument(
        "--token-counts", choices=("auto", "always", "never"), default="auto",
        help="ask the server how many tokens each event holds; auto: if the first answer shows several",
    )  # fmt: skip
    _processes_argument(run)
    _patience_arguments(run)


def _patience_arguments(run: argparse.ArgumentParser) -> None:
    run.add_argument(
        "--first-token-timeout", type=above_zero, default=600.0, metavar="S", help="limit in seconds (default 600)"
    )
    run.add_argument(
        "--stall-timeout",
        type=above_zero,
        default=120.0,
        metavar="S",
        help="longest silence within an answer (default 120)",
    )
    run.add_argument(
        "--obey-retry-after", type=above_zero, nargs="?", const=_OBEY_S, default=0.0, metavar="S",
        help=f"after a 429 or 503, try again as Retry-After says, waiting at most S in all (default {_OBEY_S:g})",
    )  # fmt: skip


def _source_arguments(run: argparse.ArgumentParser) -> None:
    for option in source_options():
        run.add_argument(option.flag, type=option.read, metavar=option.metavar, help=option.help)
    run.add_argument(
        "--part", choices=PARTS,
        help="one of two loads that share no request: one to tune for, and one to see whether that was right; of a "
        "file each second request, else prompts a quarter longer and answers a fifth shorter",
    )  # fmt: skip


def _judging_arguments(run: argparse.ArgumentParser) -> None:
    run.add_argument("--out", type=Path, metavar="DIR", help="folder for the report (default: a new one in reports/)")
    run.add_argument(
        "--meta", type=Path, metavar="FILE", help="a JSON object to show in the report: engine, flags, machine"
    )
    run.add_argument(
        "--target", type=Path, metavar="FILE", help="judge by these targets; example: loadtest/targets.yaml"
    )
    run.add_argument("--plan", action="store_true", help="print the stages in order, and run nothing")
    run.add_argument(
        "--export-port", type=port, metavar="PORT", help="serve /metrics for Prometheus on loopback during the run"
    )
    _prometheus_argument(run)
    run.add_argument("--json", action="store_true", help="print the result as JSON; progress goes to stderr")
    run.add_argument(
        "--sample-interval",
        type=above_zero,
        default=1.0,
        metavar="S",
        help="longest time between two samples (default 1)",
    )
    run.add_argument(
        "--max-lag-ms", type=above_zero, metavar="MS",
        help="a stage with more client lag is invalid (default 2 ms, or 2 %% of the median TTFT if that is more)",
    )  # fmt: skip
    run.add_argument(
        "--selfcheck", type=Path, metavar="FILE",
        help="result of `selfcheck --out FILE`; a run beyond what it covered is invalid",
    )  # fmt: skip


def _selfcheck_arguments(check: argparse.ArgumentParser) -> None:
    check.add_argument("--users", type=at_least(1), default=50, metavar="N", help="concurrent streams (default 50)")
    check.add_argument(
        "--tokens-per-s", type=above_zero, default=50.0, metavar="R", help="rate of each stream (default 50)"
    )
    check.add_argument("--seconds", type=above_zero, default=5.0, metavar="S", help="approximate length (default 5)")
    _processes_argument(check)
    check.add_argument("--out", type=Path, metavar="FILE", help="write the result as JSON, for run --selfcheck FILE")
    check.add_argument("--json", action="store_true", help="print JSON, for other programs")


def source_and_arrivals(options: argparse.Namespace) -> tuple[RequestSource, Arrivals]:
    """What is asked and how it arrives: the workload with what the command line changes. UsageProblem."""
    workload = read_workload(options.workload)
    written = workload.arrivals.arrivals()
    mode = options.mode or written.mode
    arrivals = Arrivals(
        mode=mode,
        users=options.users or written.users,
        requests_per_user=options.requests_per_user or written.requests_per_user,
        rates=options.rates or (_AS_RECORDED if mode == "replay" else written.rates),
        seconds=options.seconds or written.seconds,
    )
    fault = rates_fault(mode, arrivals.rates, arrivals.seconds)
    if fault:
        raise UsageProblem(f"--rates: {fault}")
    source = make_source(workload, options)
    for speed in arrivals.rates if mode == "replay" else ():
        starts_of(source, speed)  # refused before a server is asked
    if len(source.kinds) > 1 and (options.max_tokens or options.prompt_tokens):
        raise UsageProblem(
            f"--max-tokens, --prompt-tokens: '{source.name}' has several kinds; copy and change its file"
        )
    return source, arrivals
