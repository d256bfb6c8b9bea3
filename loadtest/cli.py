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

from loadtest import checked, judging, page, report, table, truth
from loadtest.config import RunConfig, Side, read_keys, read_meta, read_side
from loadtest.errors import LoadtestError, UsageProblem
from loadtest.options import parser, workload_of
from loadtest.progress import Progress
from loadtest.targets import TargetFile, read_target_file
from loadtest.verdict import EXIT_CODES


class _Stopped(SystemExit):
    """Ctrl-C before the first stage. A SystemExit, because gevent prints a KeyboardInterrupt on its way."""


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    try:
        return _COMMANDS[options.command](options)
    except LoadtestError as problem:
        print(f"loadtest: {problem}", file=sys.stderr)
        return problem.exit_code
    except _Stopped:
        print("loadtest: stopped before the first stage: nothing was measured", file=sys.stderr)
        return EXIT_CODES["incomplete"]


def _config(options: argparse.Namespace, sides: tuple[Side, ...]) -> RunConfig:
    wanted = read_target_file(options.target) if options.target else TargetFile()
    workload, arrivals = workload_of(options)
    return RunConfig(
        sides=sides,
        workload=workload,
        arrivals=arrivals,
        out=options.out,
        repeats=options.repeats,
        warmup=options.warmup,
        sample_interval=options.sample_interval,
        first_token_timeout=options.first_token_timeout,
        stall_timeout=options.stall_timeout,
        patience=options.obey_retry_after,
        max_lag_ms=options.max_lag_ms,
        selfcheck=checked.read(options.selfcheck) if options.selfcheck else None,
        meta=read_meta(options.meta),
        targets=wanted.targets,
        slo=wanted.slo,
    )


def _run(options: argparse.Namespace) -> int:
    side = Side(
        name="server",
        base_url=options.base_url,
        model=options.model,
        keys=read_keys(options.api_key_file),
        engine_metrics=tuple(options.engine_metrics),
        pids=tuple(options.pid),
    )
    return _measure(_config(options, (side,)), options)


def _compare(options: argparse.Namespace) -> int:
    sides = tuple(read_side(text) for text in options.sides)
    names = [side.name for side in sides]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise UsageProblem(f"two sides are called '{twice}'")
    if len(sides) < 2:
        raise UsageProblem("compare: two or more sides are needed; for one server there is `run`")
    return _measure(_config(options, sides), options)


def _measure(config: RunConfig, options: argparse.Namespace) -> int:
    from loadtest.run import execute, prepare  # Locust patches the process when imported; `report` does without

    _make_directory(config.out)
    progress = Progress(sys.stderr if options.json else sys.stdout, sides=len(config.sides) > 1)
    stop = Event()
    _on_signals(_stop_at_once)
    ready = prepare(config, progress)
    _on_signals(lambda *_: stop.set())  # from here on there is something to keep
    measured = report.as_dict(execute(config, ready, progress, stop))
    content = judging.judged(measured, config.targets, config.slo)
    paths = [report.write_json(content, config.out), page.write(content, config.out)]
    _print_result(content, paths, as_json=options.json)
    return int(content["verdict"]["exit_code"])


def _selfcheck(options: argparse.Namespace) -> int:
    from loadtest import selfcheck  # as above

    found = selfcheck.check(options.users, options.tokens_per_s, options.seconds)
    if options.out:
        report.write(options.out, found.model_dump_json(indent=2).encode() + b"\n")
    print(found.model_dump_json() if options.json else truth.text(found), flush=True)
    return 0 if found.ok else EXIT_CODES["invalid"]


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
    print(table.sided(content))
    print()
    _print_verdict(verdict, sys.stdout)
    print("report: " + ", ".join(str(path) for path in paths), flush=True)


def _print_verdict(verdict: Mapping[str, Any], stream: TextIO) -> None:
    print(f"verdict: {verdict['headline']}", file=stream)
    for reason in verdict["reasons"]:
        print(f"  - {reason}", file=stream)


_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "run": _run,
    "compare": _compare,
    "selfcheck": _selfcheck,
    "report": _rebuild,
}
