"""The commands: the only module that prints or exits."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from fullbatch import doctor
from fullbatch.chat.screen import Screen
from fullbatch.cli import (
    chat,
    describe,
    export,
    follow,
    init,
    models,
    peers,
    plans,
    quality,
    service,
    simulate,
    store,
    trust,
    tune,
    upkeep,
    weights,
)
from fullbatch.cli.options import parser
from fullbatch.cli.values import keys_profile
from fullbatch.core import check_result
from fullbatch.core.errors import FullbatchError, HostError, StateError, Terminated, UsageError
from fullbatch.layout import place
from fullbatch.lifecycle import deployment
from fullbatch.measure import calibrate, compare, demo, launcher
from fullbatch.planning import deployments, plan, profile
from fullbatch.rendering import check, files
from fullbatch.runtime import dotenv
from fullbatch.runtime.base import Ports, Say
from fullbatch.top import sources

ROOT = place.root()

OK, FAILED, INTERRUPTED = 0, 1, 130


def main(argv: list[str] | None = None) -> int:
    """Run one command; its exit code. A person's mistake is told in one line, never in a traceback."""
    words, load = _split(sys.argv[1:] if argv is None else argv)
    args = parser(profile.names(ROOT)).parse_args(words or ["--help"])
    args.load = load
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, _interrupt)
    try:
        init.refuse_without_folder(args)
        code = _COMMANDS[args.command](args)
        sys.stdout.flush()
        return code
    except FullbatchError as error:
        for line in str(error).splitlines():
            print(f"fullbatch: {line}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        stopped = "; what was started is stopped" if args.command in ("up", "demo", "compare", "tune") else ""
        print(f"fullbatch: interrupted{stopped}", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has gone, as in `fullbatch logs | head`; what is still buffered goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"fullbatch: {where}{error.strerror or error}", file=sys.stderr)
        return HostError.exit_code


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    """The words of `compare`, and after `--` those of the load test."""
    if words[:1] != ["compare"] or "--" not in words:
        return words, []
    at = words.index("--")
    return words[:at], words[at + 1 :]


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise Terminated


def _say_since_now() -> Say:
    began = time.monotonic()

    def say(text: str) -> None:
        # A closed terminal or pipe must not keep us from stopping what we started.
        with contextlib.suppress(OSError):
            print(f"[{time.monotonic() - began:6.1f} s] {text}", flush=True)

    return say


def _plan(name: str) -> plan.Plan:
    return deployments.planned(ROOT, name)


def _options(args: argparse.Namespace) -> deployment.Options:
    return deployment.Options(args.runtime, _ports(args), args.timeout)


def _ports(args: argparse.Namespace) -> Ports:
    return Ports(args.gateway_port or dotenv.gateway_port(ROOT), args.engine_port, args.metrics_port)


def _render(args: argparse.Namespace) -> int:
    names = args.profiles or profile.names(ROOT)
    if args.check:
        for path in (stale := files.stale(ROOT, names)):
            print(f"{path}: stale or missing; run `fullbatch render`")
        return FAILED if stale else OK
    changed = files.write(ROOT, names)
    print("".join(f"wrote {path}\n" for path in changed), end="")
    print(f"{len(names)} profile(s) rendered, {len(changed)} file(s) changed")
    return OK


def _check(args: argparse.Namespace) -> int:
    names = args.profiles or profile.names(ROOT)
    result = check.check(ROOT, names)
    for line in result.skipped:
        print(f"not checked: {line}")
    for line in result.problems:
        print(line)
    print(f"{len(names)} profile(s): {len(result.problems)} problem(s), {len(result.skipped)} check(s) skipped")
    return FAILED if result.problems else OK


def _show_plan(args: argparse.Namespace) -> int:
    said, written = plans.plan(ROOT, args)
    print(said, end="")
    if written:
        print(written, file=sys.stderr if args.json else sys.stdout)
    return OK


def _explain(args: argparse.Namespace) -> int:
    print(plans.explained(ROOT, args), end="")
    return OK


def _doctor(args: argparse.Namespace) -> int:
    made = _plan(args.profile) if args.profile else None
    runtime, found = doctor.examine(ROOT, made, args.runtime, _ports(args))
    if args.json:
        print(json.dumps(check_result.as_json(args.profile, runtime, found), indent=2))
    else:
        print(check_result.as_text(found), end="")
    return OK if check_result.works(found) else FAILED


def _up(args: argparse.Namespace) -> int:
    made, options, say = _plan(args.profile or dotenv.profile(ROOT)), _options(args), _say_since_now()
    if upkeep.before_a_start(ROOT, say) == made.name:
        return OK
    if args.foreground:
        deployment.refuse_foreground(ROOT, options)
    running = deployment.choose(ROOT, made, options)
    seconds = deployment.up(running, made, options, say)
    say(f"{made.name} is up: the first token came back through the gateway after {seconds:.0f} s")
    kept = running.remember()
    print(
        describe.started(running.gateway_url, made, running.where_the_key_is, sys.argv[0], kept=kept),
        end="",
        flush=True,
    )
    if args.foreground:
        deployment.stay(running, say)
    return OK


def _down(args: argparse.Namespace) -> int:
    upkeep.before_a_stop(ROOT)
    deployment.down(ROOT, args.profile, _say_since_now(), volumes=args.volumes)
    print("stopped")
    return OK


def _status(args: argparse.Namespace) -> int:
    found = [one for one in deployment.status(ROOT) if args.profile in (None, one["profile"])]
    if args.json:
        print(json.dumps(found, indent=2))
    else:
        for one in found:
            print(describe.status_line(one))
            for failure in one["failures"]:
                print(f"  the engine has died: {failure['cause']}\n  fix: {failure['change']}")
    if found:
        return OK if all(one["healthy"] for one in found) else FAILED
    if not args.json:
        print(f"profile '{args.profile}' is not running" if args.profile else "nothing is running")
    return StateError.exit_code


def _top(args: argparse.Namespace) -> int:
    if not (args.once or args.json or sys.stdout.isatty()):
        raise UsageError("top: the output is not a terminal; add --once or --json")
    source = sources.find(ROOT, args.profile)
    try:
        answered = follow.look(source, args.interval, once=args.once, as_json=args.json)
    except KeyboardInterrupt:  # how one leaves it; nothing was started
        return OK
    return OK if answered else FAILED


def _keys(args: argparse.Namespace) -> int:
    # argparse leaves all words after the first to the program in the gateway, --profile among them.
    own, words = keys_profile(args.words)
    return deployment.run_gateway_module(ROOT, own or args.profile, "gateway.keys", words)


def _usage(args: argparse.Namespace) -> int:
    given = {name: getattr(args, name) for name in ("by", "since", "until")}
    words = [word for name, value in given.items() if value for word in (f"--{name}", value)]
    words += [f"--{args.form}"] if args.form else []
    return deployment.run_gateway_module(ROOT, args.profile, "gateway.usage", words)


def _demo(args: argparse.Namespace) -> int:
    made = _plan(args.profile)
    load = demo.ConcurrencyWishes(args.users, args.requests_per_user, args.prompt_tokens, args.max_tokens)
    screen = Screen(sys.stdout, terminal=True, styled=False)
    code, running = demo.run(ROOT, made, demo.DemoRequest(_options(args), load, args.keep), screen, _say_since_now())
    if args.keep:
        print(describe.started(running.gateway_url, made, running.where_the_key_is, sys.argv[0], kept=False), end="")
    return code


def _compare(args: argparse.Namespace) -> int:
    plans = {side: _plan(side) for side in args.sides if "=" not in side}
    wanted = compare.ComparisonRequest(_options(args), tuple(args.load), args.out)
    return compare.run(ROOT, plans, args.sides, wanted, _say_since_now())


def _calibrate(args: argparse.Namespace) -> int:
    name, said = calibrate.running(ROOT, args.profile)
    run = calibrate.measure(_plan(name), said, datetime.datetime.now(datetime.UTC).date())
    print(json.dumps(run, indent=2) if args.json else calibrate.as_text(run))
    if args.write:
        print(f"kept in {calibrate.keep(run).relative_to(ROOT)}", file=sys.stderr if args.json else sys.stdout)
    return OK


def _upkeep(args: argparse.Namespace) -> int:
    return upkeep.run(ROOT, args, _say_since_now())


def _profiles(_args: argparse.Namespace) -> int:
    print(describe.profiles((name, deployments.read(ROOT, name)) for name in profile.names(ROOT)), end="")
    return OK


_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "init": init.run,
    "profiles": _profiles,
    "plan": _show_plan,
    "explain": _explain,
    "render": _render,
    "check": _check,
    "export": lambda args: export.run(ROOT, args),
    "doctor": _doctor,
    "up": _up,
    "down": _down,
    "status": _status,
    "logs": lambda args: follow.logs(ROOT, args.profile, args.tail, args.follow),
    "keys": _keys,
    "peers": lambda args: peers.run(ROOT, args),
    "store": lambda args: store.run(ROOT, args),
    "usage": _usage,
    "top": _top,
    "models": lambda args: models.run(ROOT, args),
    "chat": lambda args: chat.run(ROOT, args),
    "demo": _demo,
    "compare": _compare,
    "loadtest": lambda args: launcher.loadtest(args.words, ROOT),
    "report": lambda args: launcher.report(args.words, Path.cwd(), ROOT),
    "calibrate": _calibrate,
    "quality": lambda args: quality.run(ROOT, args),
    "simulate": lambda args: simulate.run(ROOT, args),
    "service": lambda args: service.run(ROOT, args),
    "tune": lambda args: tune.run(ROOT, args, _say_since_now()),
    "weights": lambda args: weights.run(ROOT, args),
    **{name: _upkeep for name in upkeep.COMMANDS},
    "trust": lambda args: trust.run(ROOT, args),
}
