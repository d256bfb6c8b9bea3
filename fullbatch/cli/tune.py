"""`fullbatch tune`: options, and what is said before, during and after a race."""

from __future__ import annotations

import argparse
import datetime
import json
import re
import socket
import sys
from pathlib import Path

from fullbatch.cli.values import port, positive
from fullbatch.core.errors import UsageError
from fullbatch.lifecycle import deployment
from fullbatch.measure import launcher
from fullbatch.runtime.base import Ports, Say
from fullbatch.tune import result
from fullbatch.tune.aside import aside
from fullbatch.tune.engines import EngineBench, EngineRequest, try_load
from fullbatch.tune.journal import NAME, Journal, JournaledBench
from fullbatch.tune.prepared import PreparedRace, RaceWishes, prepare
from fullbatch.tune.race import Race, RaceResult, RaceRules
from fullbatch.tune.verdict import TuneVerdict, judge

_TIME = re.compile(r"([0-9]+(?:\.[0-9]+)?)(s|m|h)")
_SECONDS = {"s": 1, "m": 60, "h": 3600}


def options(parser: argparse.ArgumentParser, listing: str) -> None:
    """What it takes."""
    parser.description = (
        "Race sets of settings against the plan, and say which serves more people within a promise, or that none does. "
        "Nothing that serves is touched without --here. docs/tuning.md has an example."
    )
    parser.add_argument("profile", help=listing)
    parser.add_argument("--slo", metavar="LIMITS", help="the promise: ttft_p95=1.5s,itl_p95=60ms (needed for people)")
    parser.add_argument(
        "--budget", type=duration, default=2700.0, metavar="TIME", help="90s, 45m or 2h in all (default: 45m)"
    )
    parser.add_argument(
        "--workload", default="chat", metavar="NAME|FILE",
        help="the load: a workload of the load test, conversations or a trace (default: chat)",
    )  # fmt: skip
    parser.add_argument(
        "--objective", choices=("people", "tokens", "alone"), default="people",
        help="people within the promise (default), tokens a second of all users, or one person's",
    )  # fmt: skip
    parser.add_argument("--prompt-tokens", type=positive, metavar="N", help="of the workload's requests, instead")
    parser.add_argument("--max-tokens", type=positive, metavar="N", help="of the answers, instead")
    parser.add_argument("--requests-per-user", type=positive, default=2, metavar="N", help="at least (default: 2)")
    parser.add_argument("--arms", metavar="NAME,NAME…", help="only these arms")
    parser.add_argument("--plan", action="store_true", help="show the arms and their order, and race none")
    parser.add_argument("--apply", action="store_true", help="write a better arm into the profile")
    parser.add_argument(
        "--here", action="store_true", help="stop what serves on this machine for the race, and start it again after"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="report folder; one of a race that was cut goes on")
    parser.add_argument("--json", action="store_true", help="print JSON, for other programs; progress goes to stderr")
    parser.add_argument("--gateway-port", type=port, metavar="PORT", help="for the arms (default: one that is free)")
    parser.add_argument(
        "--timeout", type=positive, default=1800, metavar="SECONDS", help="limit until a first token (default: 1800)"
    )


def duration(text: str) -> float:
    """Seconds of `90s`, `45m` or `2h`."""
    match = _TIME.fullmatch(text)
    if not match or not (found := float(match[1]) * _SECONDS[match[2]]):
        raise argparse.ArgumentTypeError(f"'{text}': write a time such as 90s, 45m or 2h")
    return found


def run(root: Path, args: argparse.Namespace, say: Say) -> int:
    """0 whatever the verdict. UsageError, StateError, HostError, EngineError where there can be no race."""
    ready = prepare(root, _wishes(args))
    tell = _to_stderr if args.json else say
    for line in ready.lines():
        tell(line)
    if args.plan:
        return 0
    out = (args.out or _folder(root, ready)).resolve()
    out.mkdir(parents=True, exist_ok=True)
    journal = _journal(out, ready, tell)
    ports = Ports(args.gateway_port or _free_port())
    request = EngineRequest(root, out, deployment.Options("auto", ports, args.timeout), ready.load)
    try_load(request)
    rules = RaceRules(args.budget)
    with aside(root, args.here, args.timeout, tell):
        bench = JournaledBench(EngineBench(ready.name, ready.plans, request, tell), journal)
        try:
            found = Race([arm.name for arm in ready.racing], bench, ready.objective, rules, tell).run()
        except KeyboardInterrupt:
            tell(f"interrupted; what was measured is kept. To go on: the same command with --out {out}")
            raise
    ready.refuse(found)
    return _finish(root, args, ready, (found, judge(found, rules, ready.objective.unit), out, journal))


def _wishes(args: argparse.Namespace) -> RaceWishes:
    return RaceWishes(
        args.profile, args.objective, args.slo, args.workload, args.prompt_tokens, args.max_tokens,
        args.requests_per_user, args.arms,
    )  # fmt: skip


def _folder(root: Path, ready: PreparedRace) -> Path:
    """The newest race of the same question that has no verdict, else a new one."""
    reports = root / "reports"
    for path in sorted(reports.glob(f"tune-{ready.name}-*"), reverse=True):
        lines = Journal(path / NAME).lines
        if lines and lines[0].get("question") == ready.question and lines[-1]["kind"] != "verdict":
            return path
    return reports / f"tune-{ready.name}-{datetime.datetime.now().strftime('%Y-%m-%d_%H-%M-%S')}"


def _journal(out: Path, ready: PreparedRace, tell: Say) -> Journal:
    journal = Journal(out / NAME)
    if not journal.lines:
        journal.write({"kind": "race", "question": ready.question})
    elif journal.question != ready.question:
        raise UsageError(f"{out}: holds a race of another profile, promise or load; give another --out")
    else:
        measured = sum(line["kind"] == "load" for line in journal.lines)
        tell(f"going on with {out}: {measured} loads are measured already")
    return journal


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _finish(
    root: Path, args: argparse.Namespace, ready: PreparedRace, ended: tuple[RaceResult, TuneVerdict, Path, Journal]
) -> int:
    found, said, out, journal = ended
    day = datetime.date.today().isoformat()
    report = result.RaceReport(
        ready.name,
        ready.question,
        ready.racing,
        ready.pruned,
        ready.forecast.values,
        found,
        said,
        ready.objective.unit,
        day,
    )
    content = report.as_json()
    patch = ""
    if said.winner:
        winner = next(arm for arm in ready.racing if arm.name == said.winner)
        old, new = result.changed_text(root, ready.name, winner)
        patch = result.diff(ready.name, old, new)
        (out / "profile.diff").write_text(patch, encoding="utf-8")
        content["diff"] = patch
    (out / result.FILE).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    with (out / "load.log").open("wb") as log:
        launcher.loadtest(["report", str(out)], root, "fullbatch", log)
    journal.write({"kind": "verdict", "word": said.word, "spent_s": round(found.spent_s, 1)})
    applied = bool(args.apply and said.winner)
    if applied:
        (root / "profiles" / f"{ready.name}.yaml").write_text(new, encoding="utf-8")
    result.remember(root, report, out, applied=applied)
    sys.stdout.write(json.dumps(content, indent=2) + "\n" if args.json else _text(report, out, patch, applied))
    return 0


def _text(report: result.RaceReport, out: Path, patch: str, applied: bool) -> str:
    said = report.verdict
    lines = ["", f"{said.word}: {said.sentence}", *(f"  - {reason}" for reason in said.reasons)]
    if patch:
        lines += ["", patch.rstrip()]
        todo = f"fullbatch render {report.profile}"
        lines += [f"written into profiles/{report.profile}.yaml; next: {todo}" if applied else "to write it: --apply"]
    lines += [f"{report.found.spent_s / 60:.1f} minutes; report: {out / 'race.html'}, {out / result.FILE}"]
    return "\n".join(lines) + "\n"


def _to_stderr(text: str) -> None:
    sys.stderr.write(f"{text}\n")
