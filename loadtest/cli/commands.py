"""The load test's commands: exit codes, and everything that is printed."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Any, NoReturn, TextIO

from common.printable import shown
from loadtest.analysis import diff, selfcheck_result, target_judge
from loadtest.analysis.targets import TargetFile, read_target_file
from loadtest.analysis.verdict import EXIT_CODES
from loadtest.cli import record
from loadtest.cli.options import parser, source_and_arrivals
from loadtest.core.errors import LoadtestError, UsageProblem
from loadtest.live.board import Board
from loadtest.live.prometheus_exporter import Exporter, serve
from loadtest.report import (
    csv_files,
    document,
    html_page,
    model_text,
    multi,
    multi_view,
    prometheus_range,
    race_page,
    summary,
    text_table,
    usage_text,
)
from loadtest.runner import defaults
from loadtest.runner.config import RunConfig, ServerSide, read_meta, read_side
from loadtest.runner.progress import RunProgress
from loadtest.selfcheck import compare_clocks
from loadtest.workload.arrivals import interleaved

# As a shell tells it of a program that SIGPIPE has ended. Not 0: nobody may take it for a verdict.
READER_GONE = 141


class _Stopped(SystemExit):
    """Ctrl-C before the first stage. A SystemExit, because gevent prints a KeyboardInterrupt on its way."""


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser(defaults.typed(defaults.environment())).parse_args(arguments)
    try:
        code = _COMMANDS[options.command](options)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # The reader has gone, as in `report diff A B | head`; what is still buffered goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_GONE
    except LoadtestError as problem:
        print(shown(f"loadtest: {problem}"), file=sys.stderr)
        return problem.exit_code
    except _Stopped:
        print("loadtest: stopped before the first stage: nothing was measured", file=sys.stderr)
        return EXIT_CODES["incomplete"]


def _config(options: argparse.Namespace, sides: tuple[ServerSide, ...]) -> RunConfig:
    wanted = read_target_file(options.target) if options.target else TargetFile()
    source, arrivals = source_and_arrivals(options)
    return RunConfig(
        sides=sides,
        source=source,
        arrivals=arrivals,
        out=defaults.out(options.out),
        repeats=options.repeats,
        warmup=options.warmup,
        sample_interval=options.sample_interval,
        first_token_timeout=options.first_token_timeout,
        stall_timeout=options.stall_timeout,
        patience=options.obey_retry_after,
        max_lag_ms=options.max_lag_ms,
        processes=options.processes,
        token_counts=options.token_counts,
        selfcheck=selfcheck_result.read(options.selfcheck) if options.selfcheck else None,
        meta=read_meta(options.meta),
        targets=wanted.targets,
        slo=wanted.slo,
    )


def _run(options: argparse.Namespace) -> int:
    environment = defaults.environment()
    address = defaults.base_url(options.base_url, environment)
    side = ServerSide(
        name="server",
        base_url=address,
        model=options.model,
        keys=defaults.keys(options.api_key_file, address, environment),
        engine_metrics=tuple(options.engine_metrics),
        pids=tuple(options.pid),
    )
    return _measure(_config(options, (side,)), options)


def _compare(options: argparse.Namespace) -> int:
    sides = tuple(read_side(text) for text in options.sides)
    names = [side.name for side in sides]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise UsageProblem(f"two sides are called '{twice}'; give each another name")
    if len(sides) < 2:
        raise UsageProblem("compare: name two or more sides; to measure one server use `run`")
    return _measure(_config(options, sides), options)


def _measure(config: RunConfig, options: argparse.Namespace) -> int:
    from loadtest.runner.run import execute, prepare  # Locust patches the process when imported; `report` does without

    if options.plan:
        return _print_plan(config)
    _make_directory(config.out)
    progress, stop_telling = _progress(config, options)
    stop = Event()
    _on_signals(_stop_at_once)
    ready = prepare(config, progress)
    _on_signals(lambda *_: stop.set())  # from here on there is something to keep
    measured = document.as_dict(execute(config, ready, progress, stop))
    stop_telling()
    content = target_judge.judged(measured, config.targets, config.slo)
    paths = _write(content, config.out)  # first without Prometheus: whatever it does, the run is not lost
    try:
        if options.prometheus:
            content = _from_prometheus(content, options.prometheus)
            paths = _write(content, config.out)
    except LoadtestError as problem:
        print(shown(f"loadtest: {problem}") + f"; try again with `report {config.out} --prometheus …`", file=sys.stderr)
    _print_result(content, paths, as_json=options.json)
    return int(content["verdict"]["exit_code"])


def _print_plan(config: RunConfig) -> int:
    for plan in interleaved(config.arrivals, [side.name for side in config.sides], config.repeats):
        print(f"{plan.number:4}  {plan.side}, {plan.label}" + (f", repeat {plan.repeat}" if config.repeats > 1 else ""))
    return 0


def _selfcheck(options: argparse.Namespace) -> int:
    from loadtest.selfcheck import check

    load = check.CheckLoad(options.users, options.tokens_per_s, options.seconds, options.processes)
    found = check.check(load)
    if options.out:
        document.write(options.out, found.model_dump_json(indent=2).encode() + b"\n")
    print(found.model_dump_json() if options.json else compare_clocks.text(found), flush=True)
    return 0 if found.ok else EXIT_CODES["invalid"]


def _stop_at_once(*_: object) -> NoReturn:
    raise _Stopped


def _on_signals(handler: Callable[[int, FrameType | None], object]) -> None:
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, handler)


def _progress(config: RunConfig, options: argparse.Namespace) -> tuple[RunProgress, Callable[[], None]]:
    """Progress, told to Prometheus too where that was asked for; and what ends the telling."""
    stream, several = sys.stderr if options.json else sys.stdout, len(config.sides) > 1
    if options.export_port is None:
        return RunProgress(stream, several), lambda: None
    board = Board()
    board.begin(datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"), config.source.name)
    exporter = Exporter(stream, several, board=board)
    return exporter, serve(board, lambda: exporter.users, options.export_port)


def _from_prometheus(content: Mapping[str, Any], addresses: Sequence[str]) -> dict[str, Any]:
    made = dict(content)
    for address in addresses:
        made = prometheus_range.sampled(made, address)
    return made


def _write(content: Mapping[str, Any], out: Path) -> list[Path]:
    made = [document.write_json(content, out), html_page.write(content, out), *csv_files.write(content, out)]
    return [*made, summary.write(content, out)]


def _rebuild(options: argparse.Namespace) -> int:
    if race_page.is_race(options.directory):
        print(race_page.write(options.directory))
        return 0
    content = document.read_json(options.directory)
    with document.of_reports(options.directory):
        content = _from_prometheus(content, options.prometheus)
        if options.target:
            wanted = read_target_file(options.target)
            content = target_judge.judged(content, wanted.targets, wanted.slo)
        code = int(content["verdict"]["exit_code"]) if options.target else 0
        made = [html_page.write(content, options.directory), *csv_files.write(content, options.directory)]
        made.append(summary.write(content, options.directory))
        if options.target or options.prometheus:
            document.write_json(content, options.directory)
    print("\n".join(map(str, made)))
    return code


def _diff(options: argparse.Namespace) -> int:
    before, after = document.read_json(options.before), document.read_json(options.after)
    with document.of_reports(options.before, options.after):
        made = diff.diff(before, after, options.tolerance / 100)
        said = json.dumps(made.as_dict(), indent=2) if options.json else shown(diff.text(made))
    print(said)
    return made.exit_code


def _table(options: argparse.Namespace) -> int:
    names = [_report_name(path) for path in options.reports]
    short = names if len(set(names)) == len(names) else [str(path) for path in options.reports]
    twice = next((name for name in short if short.count(name) > 1), None)
    if twice:
        raise UsageProblem(f"the report {twice} is named twice; name it once")
    read = {name: document.read_json(path) for name, path in zip(short, options.reports, strict=True)}
    for path, content in zip(options.reports, read.values(), strict=True):
        with document.of_reports(path):
            multi.joined({"alone": content})  # so that it is the damaged one that is named
    with document.of_reports(*options.reports):
        found = multi.joined(read)
        code = found.exit_code
        said = json.dumps(found.as_dict(), indent=2) if options.json else shown(multi_view.text(found))
        pages = ((options.html, multi_view.as_html), (options.csv, multi_view.as_csv))
        made = [(path, view(found).encode()) for path, view in pages if path]
    for path, written in made:
        document.write(path, written)
    print(said)
    return code


def _report_name(path: Path) -> str:
    """The folder's name, or a file's own where it is not called report.json."""
    whole = path.resolve()
    if whole.is_file():
        return whole.parent.name if whole.name == "report.json" else whole.stem
    return whole.name


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
        for name in ("report.json", "report.html", "stages.csv", "requests.csv", "summary.json"):
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
    print(shown(text_table.sided(content)))
    print(shown(usage_text.usage_lines(content)))
    for line in model_text.model_lines(content):
        print(shown(line))
    print()
    _print_verdict(verdict, sys.stdout)
    print("report: " + ", ".join(str(path) for path in paths), flush=True)


def _print_verdict(verdict: Mapping[str, Any], stream: TextIO) -> None:
    print(shown(f"verdict: {verdict['headline']}"), file=stream)
    for reason in verdict["reasons"]:
        print(shown(f"  - {reason}"), file=stream)


_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "run": _run,
    "compare": _compare,
    "selfcheck": _selfcheck,
    "report": _rebuild,
    "diff": _diff,
    "table": _table,
    "record": record.run,
}
