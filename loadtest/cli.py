"""Arguments, exit codes, and everything that is printed."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Any, NoReturn, TextIO

from loadtest import judging, page, report, table
from loadtest.config import RunConfig, read_key, read_meta
from loadtest.connection import Server, server_at
from loadtest.errors import LoadtestError, UsageProblem
from loadtest.progress import Progress
from loadtest.targets import TargetFile, read_target_file
from loadtest.verdict import EXIT_CODES

_EXIT_CODES = """\
exit codes: 0 targets met or ran clean; 1 a target missed or requests failed; 2 usage; 3 the run is invalid (client too
slow, or not one good answer); 4 server unreachable or key refused; 130 stopped by Ctrl-C (what there is, is written)"""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the whole usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see --help)\n")


class _Stopped(SystemExit):
    """Ctrl-C before the first stage. A SystemExit, because gevent prints a KeyboardInterrupt on its way."""


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        return _run(options) if options.command == "run" else _rebuild(options)
    except LoadtestError as problem:
        print(f"loadtest: {problem}", file=sys.stderr)
        return problem.exit_code
    except _Stopped:
        print("loadtest: stopped before the first stage: nothing was measured", file=sys.stderr)
        return EXIT_CODES["incomplete"]


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m loadtest", description="Load-test an OpenAI-compatible server.")
    commands = parser.add_subparsers(dest="command", required=True, parser_class=_Parser)
    form = argparse.RawDescriptionHelpFormatter
    run = commands.add_parser(
        "run", help="climb the ladder and write the report", epilog=_EXIT_CODES, formatter_class=form
    )
    _plan_arguments(run)
    _watch_arguments(run)
    again = commands.add_parser("report", help="write report.html again from report.json")
    again.add_argument("directory", type=Path, help="where report.json is")
    return parser


def _plan_arguments(run: argparse.ArgumentParser) -> None:
    run.add_argument("--base-url", required=True, help="for example http://127.0.0.1:8080")
    run.add_argument("--model", required=True, help="as /v1/models lists it")
    run.add_argument("--api-key-file", type=Path, help="one key per line; the first is used")
    run.add_argument("--users", type=_users, default=(1, 5, 10, 50), help="stages (default 1,5,10,50)")
    run.add_argument("--requests-per-user", type=_at_least(1), default=4, metavar="N", help="in each stage (default 4)")
    run.add_argument("--max-tokens", type=_at_least(1), default=64, metavar="N", help="output length (default 64)")
    run.add_argument("--prompt-tokens", type=_at_least(1), default=128, metavar="N", help="about (default 128)")
    run.add_argument(
        "--warmup",
        type=_at_least(0),
        default=2,
        metavar="N",
        help="short requests per user and stage, not counted (default 2)",
    )
    run.add_argument("--out", type=Path, required=True, metavar="DIR", help="for report.json and report.html")
    run.add_argument(
        "--meta", type=Path, metavar="FILE", help="a JSON object to print in the report: engine, flags, machine"
    )
    run.add_argument("--target", type=Path, metavar="FILE", help="judge by these targets, see loadtest/targets.yaml")
    run.add_argument("--json", action="store_true", help="print the result as JSON; progress goes to stderr")


def _watch_arguments(run: argparse.ArgumentParser) -> None:
    run.add_argument(
        "--engine-metrics", action="append", default=[], metavar="URL", help="a vLLM /metrics; may be repeated"
    )
    run.add_argument(
        "--pid",
        action="append",
        default=[],
        type=_at_least(1),
        metavar="PID",
        help="process tree whose memory counts; may be repeated",
    )
    run.add_argument(
        "--sample-interval", type=_seconds, default=1.0, metavar="S", help="at most, between two samples (default 1)"
    )
    run.add_argument("--first-token-timeout", type=_seconds, default=600.0, metavar="S", help="default 600")
    run.add_argument(
        "--stall-timeout", type=_seconds, default=120.0, metavar="S", help="silence within an answer (default 120)"
    )
    run.add_argument(
        "--max-lag-ms",
        type=_seconds,
        metavar="MS",
        help="client lag above which a stage is invalid (default 2 ms, or 2 %% of the median TTFT if that is more)",
    )


def _users(text: str) -> tuple[int, ...]:
    try:
        users = tuple(int(part) for part in text.split(","))
    except ValueError:
        users = ()
    if not users or min(users) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a list of whole numbers of at least 1, such as 1,5,10,50")
    return users


class _at_least:
    def __init__(self, lowest: int) -> None:
        self._lowest = lowest

    def __call__(self, text: str) -> int:
        if not text.isdecimal() or int(text) < self._lowest:
            raise argparse.ArgumentTypeError(f"'{text}' is not a whole number of at least {self._lowest}")
        return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number above 0")
    return value


def _config(options: argparse.Namespace) -> tuple[RunConfig, Server]:
    wanted = read_target_file(options.target) if options.target else TargetFile()
    config = RunConfig(
        base_url=options.base_url,
        model=options.model,
        users=options.users,
        requests_per_user=options.requests_per_user,
        max_tokens=options.max_tokens,
        prompt_tokens=options.prompt_tokens,
        warmup=options.warmup,
        out=options.out,
        engine_metrics=tuple(options.engine_metrics),
        pids=tuple(options.pid),
        sample_interval=options.sample_interval,
        first_token_timeout=options.first_token_timeout,
        stall_timeout=options.stall_timeout,
        max_lag_ms=options.max_lag_ms,
        meta=read_meta(options.meta),
        targets=wanted.targets,
        slo=wanted.slo,
    )
    key = read_key(options.api_key_file)
    try:
        server = server_at(
            config.base_url,
            key,
            first_token_timeout=config.first_token_timeout,
            stall_timeout=config.stall_timeout,
        )
    except ValueError as error:
        raise UsageProblem(f"--base-url: {error}") from error
    return config, server


def _run(options: argparse.Namespace) -> int:
    from loadtest.run import (
        execute,
        prepare,
    )  # Locust patches the process when imported; `report` and the tests do without

    config, server = _config(options)
    _make_directory(config.out)
    progress = Progress(sys.stderr if options.json else sys.stdout)
    stop = Event()
    _on_signals(_stop_at_once)
    prepared = prepare(config, server, progress)
    _on_signals(lambda *_: stop.set())  # from here on there is something to keep
    measured = report.as_dict(execute(config, server, prepared, progress, stop))
    content = judging.judged(measured, config.targets, config.slo)
    paths = [report.write_json(content, config.out), page.write(content, config.out)]
    _print_result(content, paths, as_json=options.json)
    return int(content["verdict"]["exit_code"])


def _stop_at_once(*_: object) -> NoReturn:
    raise _Stopped


def _on_signals(handler: Callable[[int, FrameType | None], object]) -> None:
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, handler)


def _rebuild(options: argparse.Namespace) -> int:
    path = page.write(report.read_json(options.directory), options.directory)
    print(path)
    return 0


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
        for name in ("report.json", "report.html"):
            (path / name).unlink(missing_ok=True)  # an older result must not pass for this run's
            probe = path / f"{name}.partial"  # better refused now than after the measuring
            probe.touch()
            probe.unlink()
    except OSError as error:
        raise UsageProblem(f"--out {path}: {error.strerror or error}") from error


def _print_result(content: Mapping[str, Any], paths: Sequence[Path], *, as_json: bool) -> None:
    verdict = content["verdict"]
    if as_json:
        kept = {name: value for name, value in content.items() if name not in ("records", "samples")}
        print(json.dumps(kept, default=str))
        return
    print()
    print(table.text(content["stages"]))
    print()
    _print_verdict(verdict, sys.stdout)
    print("report: " + ", ".join(str(path) for path in paths), flush=True)


def _print_verdict(verdict: Mapping[str, Any], stream: TextIO) -> None:
    print(f"verdict: {verdict['headline']}", file=stream)
    for reason in verdict["reasons"]:
        print(f"  - {reason}", file=stream)
