"""The command line: the only place that prints or exits."""

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

from fullbatch import (
    answers,
    calibrate,
    check,
    demo,
    deployment,
    describe,
    doctor,
    explain,
    flags,
    plan,
    profile,
    question,
    rendered,
)
from fullbatch.doctor import verdict
from fullbatch.errors import FullbatchError, HostError, StateError
from fullbatch.options import parser
from fullbatch.runtime import Say, compose, state
from fullbatch.runtime.process import Ports, tail

ROOT = Path(__file__).resolve().parent.parent

OK, FAILED, INTERRUPTED = 0, 1, 130


def main(argv: list[str] | None = None) -> int:
    """Run one command; its exit code. A person's mistake is told in one line, never in a traceback."""
    args = parser(profile.names(ROOT)).parse_args(argv)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, _interrupt)
    try:
        code = _COMMANDS[args.command](args)
        sys.stdout.flush()
        return code
    except FullbatchError as error:
        for line in str(error).splitlines():
            print(f"fullbatch: {line}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        stopped = "; what was started is stopped" if args.command in ("up", "demo") else ""
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


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _say_since_now() -> Say:
    began = time.monotonic()

    def say(text: str) -> None:
        # A closed terminal or pipe must not keep us from stopping what we started.
        with contextlib.suppress(OSError):
            print(f"[{time.monotonic() - began:6.1f} s] {text}", flush=True)

    return say


def _plan(name: str) -> plan.Plan:
    return answers.plan(name, profile.load(ROOT, name))


def _options(args: argparse.Namespace) -> deployment.Options:
    return deployment.Options(args.runtime, Ports(args.gateway_port, args.engine_port), args.timeout)


def _render(args: argparse.Namespace) -> int:
    names = args.profiles or profile.names(ROOT)
    if args.check:
        stale = rendered.stale(ROOT, names)
        for path in stale:
            print(f"{path}: stale or missing; run `fullbatch render`")
        return FAILED if stale else OK
    changed = rendered.write(ROOT, names)
    for path in changed:
        print(f"wrote {path}")
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
    asked = question.ask(ROOT, vars(args))
    made = question.plan_of(asked)
    answer = answers.answer(made, asked.profile, asked.own)
    if args.json:
        print(json.dumps(describe.as_json(made) | describe.answer_as_json(answer), indent=2))
    else:
        print(describe.as_text(made) + describe.answer_as_text(answer), end="")
    if args.write:
        path = question.keep(ROOT, args.write, asked)
        print(f"wrote {path}; next: fullbatch render {args.write}", file=sys.stderr if args.json else sys.stdout)
    return OK


def _explain(args: argparse.Namespace) -> int:
    lines = explain.lines(_plan(args.profile))
    print(json.dumps(explain.as_json(lines), indent=2) if args.json else describe.explained(lines))
    return OK


def _doctor(args: argparse.Namespace) -> int:
    made = _plan(args.profile) if args.profile else None
    runtime, found = doctor.examine(ROOT, made, args.runtime, Ports(args.gateway_port, args.engine_port))
    if args.json:
        print(json.dumps(verdict.as_json(args.profile, runtime, found), indent=2))
    else:
        print(verdict.as_text(found), end="")
    return OK if verdict.works(found) else FAILED


def _up(args: argparse.Namespace) -> int:
    made, options, say = _plan(args.profile), _options(args), _say_since_now()
    running = deployment.choose(ROOT, made, options)
    seconds = deployment.up(running, made, options, say)
    say(f"{made.name} is up: the first token came back through the gateway after {seconds:.0f} s")
    model = made.engines[0].served_name
    print(f"\nOpenAI-compatible API: {running.gateway_url}/v1   model: {model}")
    if isinstance(running, compose.ComposeDeployment):
        print("API key:               docker compose logs secrets")
    else:
        print(f"API key:               in {running.api_keys_file}")
    print(f"Stop it with:          fullbatch down {made.name}")
    return OK


def _down(args: argparse.Namespace) -> int:
    in_docker = compose.running_profile() if not state.running(ROOT) else None
    name = args.profile or in_docker
    made = _plan(name) if name else None
    deployment.down(ROOT, args.profile, flags.DRAIN_SECONDS, made, _say_since_now())
    print("stopped")
    return OK


def _status(args: argparse.Namespace) -> int:
    plans = {name: _plan(name) for name in profile.names(ROOT)}
    found = [one for one in deployment.status(ROOT, plans) if args.profile in (None, one["profile"])]
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


def _logs(args: argparse.Namespace) -> int:
    known = [one for one in state.running(ROOT) if args.profile in (None, one.profile)]
    if not known and compose.running_profile():
        return compose.ComposeDeployment(ROOT, _plan(compose.running_profile() or ""), Ports().gateway).logs(
            args.follow
        )
    known = known or [one for one in [state.read(ROOT, args.profile or "")] if one]
    if not known:
        raise StateError("nothing is running; logs of the last run are in .fullbatch/run/PROFILE/")
    for started in known[0].processes:
        for line in tail(Path(started.log), 1_000_000 if args.follow else args.tail):
            print(f"{started.name:8}| {line}")
    return _follow(known[0]) if args.follow else OK


def _follow(known: state.State) -> int:
    with contextlib.ExitStack() as stack:
        files = {
            started.name: stack.enter_context(Path(started.log).open(encoding="utf-8", errors="replace"))
            for started in known.processes
        }
        for file in files.values():
            file.seek(0, 2)
        while known.alive():
            for name, file in files.items():
                for line in file.readlines():
                    print(f"{name:8}| {line}", end="", flush=True)
            time.sleep(0.3)
    return OK


def _demo(args: argparse.Namespace) -> int:
    made = _plan(args.profile)
    load = demo.Load(args.users, args.requests_per_user, args.prompt_tokens, args.max_tokens)
    return demo.run(ROOT, made, _options(args), load, _say_since_now())


def _calibrate(args: argparse.Namespace) -> int:
    name, said = calibrate.running(ROOT, args.profile)
    run = calibrate.measure(_plan(name), said, datetime.datetime.now(datetime.UTC).date())
    print(json.dumps(run, indent=2) if args.json else calibrate.as_text(run))
    if args.write:
        print(f"kept in {calibrate.keep(run).relative_to(ROOT)}", file=sys.stderr if args.json else sys.stdout)
    return OK


def _profiles(_args: argparse.Namespace) -> int:
    names = profile.names(ROOT)
    width = max(map(len, names), default=0) + 2
    for name in names:
        print(f"{name:{width}}{profile.load(ROOT, name).description}")
    return OK


_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "profiles": _profiles,
    "plan": _show_plan,
    "explain": _explain,
    "render": _render,
    "check": _check,
    "doctor": _doctor,
    "up": _up,
    "down": _down,
    "status": _status,
    "logs": _logs,
    "demo": _demo,
    "calibrate": _calibrate,
}
