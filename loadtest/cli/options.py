"""The command line's arguments, and what they make of a workload and its arrivals."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NoReturn

from loadtest.cli.values import above_zero, at_least, percent, port, rates, users
from loadtest.core.errors import UsageProblem
from loadtest.workload.arrivals import MODES, Arrivals
from loadtest.workload.registry import make_source, source_options
from loadtest.workload.schema import names, rates_fault, read_workload
from loadtest.workload.source import RequestSource

EXIT_CODES = """\
exit codes: 0 targets met or ran clean; 1 a target missed or requests failed; 2 usage; 3 the run is invalid (client too
slow, outside the checked region, or not one good answer); 4 server unreachable or key refused; 130 stopped by Ctrl-C
(what there is, is written)"""
SIDES = """\
A side is name=url[,model=M][,key-file=F][,metrics=URL][,pid=N][,meta=FILE]: any OpenAI-compatible server. All sides get
the same prompts from the same client, stage by stage in turn; each prompt's first word is the side's own, so that none
is served what another put into a cache. `fullbatch compare` also starts profiles."""
_OBEY_S = 300.0


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the whole usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see --help)\n")


def parser(prog: str = "python -m loadtest") -> argparse.ArgumentParser:
    """`prog`: what was typed before the command."""
    top = Parser(prog=prog, description="Load-test an OpenAI-compatible server.")
    commands = top.add_subparsers(dest="command", required=True, parser_class=Parser)
    form = argparse.RawDescriptionHelpFormatter
    run = commands.add_parser(
        "run", help="run a workload and write the report", epilog=EXIT_CODES, formatter_class=form
    )
    _server_arguments(run)
    _plan_arguments(run)
    _judging_arguments(run)
    compare = commands.add_parser(
        "compare",
        help="the same workload on several servers, in turn",
        description=SIDES,
        epilog=EXIT_CODES,
        formatter_class=form,
    )
    compare.add_argument(
        "sides", nargs="+", metavar="NAME=URL[,…]", help="two or more servers; the first is judged against the others"
    )
    _plan_arguments(compare)
    _judging_arguments(compare)
    _selfcheck_arguments(
        commands.add_parser(
            "selfcheck", help="the client's own error, against a server whose times are known", formatter_class=form
        )
    )
    _report_arguments(commands)
    return top


def _report_arguments(commands: argparse._SubParsersAction[Parser]) -> None:
    again = commands.add_parser("report", help="write report.html and the CSV files again from report.json")
    again.add_argument("directory", type=Path, help="where report.json is")
    again.add_argument(
        "--target", type=Path, metavar="FILE", help="judge again, by these targets; report.json is changed too"
    )
    _prometheus_argument(again)
    _table_arguments(commands)
    diff = commands.add_parser(
        "diff",
        help="what became worse between two reports",
        description="What became worse between two reports of the same plan, beyond what chance explains.",
        epilog="exit codes: 0 nothing became worse; 1 something did; 2 usage; 3 nothing can be said",
    )
    diff.add_argument("before", type=Path, help="the folder of the first report.json")
    diff.add_argument("after", type=Path, help="the folder of the second")
    diff.add_argument(
        "--tolerance", type=percent, default=5.0, metavar="PERCENT", help="a change up to this is none (default 5)"
    )
    diff.add_argument("--json", action="store_true", help="print it as JSON")


def _table_arguments(commands: argparse._SubParsersAction[Parser]) -> None:
    table = commands.add_parser(
        "table",
        help="several reports as one table, models by users",
        description="Several reports as one table: models by users. Each model has its own run, one after the other.",
        epilog="exit codes: the worst of the reports' (0 clean; 1 a target missed or requests failed; 3 invalid; "
        "130 stopped); 2 usage",
    )
    table.add_argument("reports", type=Path, nargs="+", metavar="REPORT", help="a report's folder, or its report.json")
    table.add_argument("--html", type=Path, metavar="FILE", help="write it as a page")
    table.add_argument("--csv", type=Path, metavar="FILE", help="write it for a spreadsheet")
    table.add_argument("--json", action="store_true", help="print it as JSON")


def _prometheus_argument(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--prometheus", action="append", default=[], metavar="[SIDE=]URL",
        help="take batch size and KV use over time from this Prometheus; once for each side",
    )  # fmt: skip


def _processes_argument(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--processes", type=at_least(1), default=1, metavar="N",
        help="client processes that divide users and arrivals among them (default 1)",
    )  # fmt: skip


def _server_arguments(run: argparse.ArgumentParser) -> None:
    run.add_argument("--base-url", metavar="URL", help="default: $FULLBATCH_HOST, else http://127.0.0.1:8080")
    run.add_argument("--model", default="", help="as /v1/models lists it (default: the only one that is listed)")
    run.add_argument(
        "--api-key-file", type=Path, metavar="FILE",
        help="one key per line; the first, unless the workload names others (default: $FULLBATCH_API_KEY, the key "
        "itself, else the file $FULLBATCH_KEY_FILE, else none)",
    )  # fmt: skip
    run.add_argument(
        "--engine-metrics", action="append", default=[], metavar="URL", help="a vLLM /metrics; may be repeated"
    )
    run.add_argument(
        "--pid", action="append", default=[], type=at_least(1), metavar="PID",
        help="process tree whose memory counts; may be repeated",
    )  # fmt: skip


def _plan_arguments(run: argparse.ArgumentParser) -> None:
    run.add_argument("--workload", default="seed", metavar="NAME", help=f"{', '.join(names())}, or a file's path")
    for option in source_options():
        run.add_argument(option.flag, type=option.read, metavar=option.metavar, help=option.help)
    run.add_argument("--mode", choices=MODES, help="how requests arrive (default: the workload's)")
    run.add_argument("--users", type=users, help="one stage for each, such as 1,5,10,50 (default: the workload's)")
    run.add_argument(
        "--requests-per-user",
        type=at_least(1),
        metavar="N",
        help="in each stage of a closed loop (default: the workload's)",
    )
    run.add_argument("--rates", type=rates, metavar="R,R", help="open: requests/s of each stage; ramp: from,to")
    run.add_argument("--seconds", type=above_zero, metavar="S", help="length of each stage of open, ramp or soak")
    run.add_argument(
        "--repeats", type=at_least(1), default=1, metavar="N", help="the whole plan again and again (default 1)"
    )
    run.add_argument("--max-tokens", type=at_least(1), metavar="N", help="output length (default: the workload's)")
    run.add_argument("--prompt-tokens", type=at_least(1), metavar="N", help="about (default: the workload's)")
    run.add_argument(
        "--warmup", type=at_least(0), default=2, metavar="N",
        help="short requests per user and stage, not counted (default 2)",
    )  # fmt: skip
    run.add_argument(
        "--token-counts", choices=("auto", "always", "never"), default="auto",
        help="have the server count the tokens of each event; auto: where a first answer's events hold several",
    )  # fmt: skip
    _processes_argument(run)
    run.add_argument("--first-token-timeout", type=above_zero, default=600.0, metavar="S", help="default 600")
    run.add_argument(
        "--stall-timeout", type=above_zero, default=120.0, metavar="S", help="silence within an answer (default 120)"
    )
    run.add_argument(
        "--obey-retry-after", type=above_zero, nargs="?", const=_OBEY_S, default=0.0, metavar="S",
        help=f"come back after a 429 or 503 as its Retry-After says, waiting at most S in all (default {_OBEY_S:g})",
    )  # fmt: skip


def _judging_arguments(run: argparse.ArgumentParser) -> None:
    run.add_argument(
        "--out", type=Path, metavar="DIR", help="for report.json and report.html (default: reports/ and the time)"
    )
    run.add_argument(
        "--meta", type=Path, metavar="FILE", help="a JSON object to print in the report: engine, flags, machine"
    )
    run.add_argument("--target", type=Path, metavar="FILE", help="judge by these targets, see loadtest/targets.yaml")
    run.add_argument("--plan", action="store_true", help="print the stages in their order, and stop")
    run.add_argument(
        "--export-port", type=port, metavar="PORT", help="tell Prometheus while it runs, on loopback: /metrics"
    )
    _prometheus_argument(run)
    run.add_argument("--json", action="store_true", help="print the result as JSON; progress goes to stderr")
    run.add_argument(
        "--sample-interval", type=above_zero, default=1.0, metavar="S", help="at most, between two samples (default 1)"
    )
    run.add_argument(
        "--max-lag-ms", type=above_zero, metavar="MS",
        help="client lag above which a stage is invalid (default 2 ms, or 2 %% of the median TTFT if that is more)",
    )  # fmt: skip
    run.add_argument(
        "--selfcheck", type=Path, metavar="FILE",
        help="what `selfcheck --out FILE` found; a run beyond the checked region is invalid",
    )  # fmt: skip


def _selfcheck_arguments(check: argparse.ArgumentParser) -> None:
    check.add_argument("--users", type=at_least(1), default=50, metavar="N", help="streams at once (default 50)")
    check.add_argument("--tokens-per-s", type=above_zero, default=50.0, metavar="R", help="of each stream (default 50)")
    check.add_argument("--seconds", type=above_zero, default=5.0, metavar="S", help="about (default 5)")
    _processes_argument(check)
    check.add_argument("--out", type=Path, metavar="FILE", help="write it as JSON, for run --selfcheck FILE")
    check.add_argument("--json", action="store_true", help="print it as JSON")


def source_and_arrivals(options: argparse.Namespace) -> tuple[RequestSource, Arrivals]:
    """What is asked and how it arrives: the workload with what the command line changes. UsageProblem."""
    workload = read_workload(options.workload)
    written = workload.arrivals.arrivals()
    mode = options.mode or written.mode
    arrivals = Arrivals(
        mode=mode,
        users=options.users or written.users,
        requests_per_user=options.requests_per_user or written.requests_per_user,
        rates=options.rates or written.rates,
        seconds=options.seconds or written.seconds,
    )
    fault = rates_fault(mode, arrivals.rates, arrivals.seconds)
    if fault:
        raise UsageProblem(f"--rates: {fault}")
    source = make_source(workload, options)
    if len(source.kinds) > 1 and (options.max_tokens or options.prompt_tokens):
        raise UsageProblem(
            f"--max-tokens, --prompt-tokens: '{source.name}' has several kinds; copy and change its file"
        )
    return source, arrivals
