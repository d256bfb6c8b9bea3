"""`fullbatch simulate`: what a plan would do with a load, without an engine."""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from fullbatch import catalog
from fullbatch.cli.values import measure, positive, users
from fullbatch.core.errors import UsageError
from fullbatch.planning import advice, memory, plan, profile
from fullbatch.simulate import figures, fit, known, load, measured, slo
from fullbatch.simulate.figures import LoadFigures
from fullbatch.simulate.run import CannotEnd, Gate, simulate
from fullbatch.simulate.scheduler import Engine

_HEAD = "users  total time   tok/s  TTFT p50/p95 ms  ITL p50/p95 ms  KV peak  batch peak  preempted"
# Requests of one stage; more takes minutes and says nothing more.
_MOST_REQUESTS = 20_000


def options(parser: argparse.ArgumentParser, listing: str) -> None:
    """What it takes."""
    parser.description = (
        "What the plan would do with a load, without an engine: vLLM's scheduler step by step, over a model of how "
        "long a step takes. docs/sizing.md says how far it was off."
    )
    parser.add_argument("profile", help=listing)
    asked = parser.add_argument_group("the load: users that ask one thing after the other, a rate, or a file")
    asked.add_argument("--users", type=users, default="1,5,10,50", metavar="N[,N…]", help="(default: 1,5,10,50)")
    asked.add_argument("--requests-per-user", type=positive, default=3, metavar="N", help="(default: 3)")
    asked.add_argument("--prompt-tokens", type=positive, default=128, metavar="N", help="(default: 128)")
    asked.add_argument("--max-tokens", type=positive, default=128, metavar="N", help="of an answer (default: 128)")
    asked.add_argument("--rate", type=measure, metavar="R", help="requests a second instead of users")
    asked.add_argument("--seconds", type=measure, default=60.0, metavar="S", help="how long they come (default: 60)")
    asked.add_argument(
        "--trace", type=Path, metavar="FILE",
        help="a trace instead of both: of `loadtest record`, Mooncake or Azure, or the gateway's log",
    )  # fmt: skip
    parser.add_argument("--slo", metavar="LIMITS", help="also the most users within them: ttft_p95=1.5s,itl_p95=60ms")
    parser.add_argument("--fit", type=Path, metavar="REPORT", help="learn step times from a load test of this profile")
    parser.add_argument("--against", type=Path, metavar="REPORT", help="simulate the report's own load, and compare")
    parser.add_argument("--side", metavar="NAME", help="whose stages of the report, where it has several sides")
    parser.add_argument("--direct", action="store_true", help="without the gateway in front of the engine")
    parser.add_argument("--write", action="store_true", help="with --fit: keep it in fullbatch/catalog/step_times.yaml")
    parser.add_argument("--json", action="store_true", help="print JSON, for other programs")


@dataclasses.dataclass(frozen=True)
class _Ready:
    """What a run needs: an engine with its times, how many of it, and the gateway before it."""

    name: str
    engine: Engine
    replicas: int
    gate: Gate | None
    source: str
    patience_s: float

    def figures(self, asked: load.SimulatedLoad) -> LoadFigures:
        try:
            return figures.of(simulate(self.engine, asked, self.replicas, self.gate))
        except CannotEnd as error:
            raise UsageError(f"{self.name}: {error}; write fewer --prompt-tokens or --max-tokens") from error


def run(root: Path, args: argparse.Namespace) -> int:
    """0, or a UsageError: a load that never fits, a report that is none."""
    wanted = profile.load(root, args.profile)
    made = advice.plan(args.profile, wanted)
    promised = slo.parse(args.slo) if args.slo else {}
    _refuse_words(args, made)
    ready = _ready(args, wanted, made)
    if args.against:
        _print(args, ready, _compared(args, ready))
        return 0
    rows = list(_rows(args, ready))
    found: dict[str, Any] = {"stages": rows}
    if promised:
        found["slo_ms"] = promised
        found["people"] = slo.people(promised, lambda one: ready.figures(_closed(args, one)))
    _print(args, ready, found)
    if args.write:
        path = keep(wanted, made.engines[0].model, ready)
        (sys.stderr if args.json else sys.stdout).write(f"kept in {path.relative_to(root)}\n")
    return 0


def _refuse_words(args: argparse.Namespace, made: plan.Plan) -> None:
    if args.write and not args.fit:
        raise UsageError("--write keeps what --fit learns; give --fit REPORT")
    if args.slo and (args.rate or args.trace or args.against):
        raise UsageError("--slo looks for a number of users; leave out --rate, --trace and --against")
    most, asked = made.engines[0].max_model_len, args.prompt_tokens + args.max_tokens
    if asked > most and not args.trace and not args.against:
        raise UsageError(
            f"--prompt-tokens and --max-tokens: {asked:,} is more than the context of {made.name}, {most:,}"
        )


def _ready(args: argparse.Namespace, wanted: profile.Profile, made: plan.Plan) -> _Ready:
    engine, gate = made.engines[0], None if args.direct else Gate()
    if args.fit:
        begun = known.engine_of(engine, known.start(wanted, engine))
        stages = measured.read(args.fit, args.side)
        if args.write and (was := stages[0].profile) != made.name:
            measures = f"profile {was}" if was else "no profile of ours"
            raise UsageError(
                f"--write: side {stages[0].side} of {args.fit} is {measures}; it would be kept as {made.name}'s"
            )
        side = f" side {args.side}," if args.side else ""
        source = f"learned from {args.fit},{side} {', '.join(str(one.users) for one in stages)} users"
        try:
            learned = dataclasses.replace(begun, times=fit.fitted(begun, stages, gate))
        except CannotEnd as error:
            raise UsageError(f"{args.fit}: {error}; is it a load of {made.name}?") from error
        return _Ready(made.name, learned, len(made.engines), gate, source, made.admission.queue_timeout_s)
    found = known.find(wanted, engine)
    kind = known.engine_of(engine, found.times)
    return _Ready(made.name, kind, len(made.engines), gate, found.source, made.admission.queue_timeout_s)


def _closed(args: argparse.Namespace, people: int) -> load.SimulatedLoad:
    if people * args.requests_per_user > _MOST_REQUESTS:
        raise UsageError(f"--users {people} x --requests-per-user {args.requests_per_user}: at most {_MOST_REQUESTS:,}")
    return load.closed(people, args.requests_per_user, args.prompt_tokens, args.max_tokens)


def _rows(args: argparse.Namespace, ready: _Ready) -> Iterator[dict[str, Any]]:
    if args.trace:
        yield {"load": args.trace.name} | ready.figures(load.trace(args.trace)).as_json()
    elif args.rate:
        if args.rate * args.seconds > _MOST_REQUESTS:
            raise UsageError(f"--rate {args.rate:g} for {args.seconds:g} s: at most {_MOST_REQUESTS:,} requests")
        asked = load.at_rate(args.rate, args.seconds, args.prompt_tokens, args.max_tokens)
        if not asked.arrivals:
            raise UsageError(f"--rate {args.rate:g} for {args.seconds:g} s: no request comes; write more of either")
        yield {"load": f"{args.rate:g}/s"} | ready.figures(asked).as_json()
    else:
        for people in map(int, args.users.split(",")):
            yield {"load": str(people)} | ready.figures(_closed(args, people)).as_json()


def _compared(args: argparse.Namespace, ready: _Ready) -> dict[str, Any]:
    stages = measured.read(args.against, args.side)
    try:
        return {"ratios": [{"load": str(one.users)} | fit.ratios(ready.engine, one, ready.gate) for one in stages]}
    except CannotEnd as error:
        raise UsageError(f"{args.against}: {error}; is it a load of {ready.name}?") from error


def _print(args: argparse.Namespace, ready: _Ready, found: dict[str, Any]) -> None:
    if args.json:
        about = {"profile": ready.name, "step_times": ready.engine.times.as_json(), "source": ready.source}
        sys.stdout.write(json.dumps(about | found, indent=2) + "\n")
        return
    lines = [f"{ready.name}, simulated; step times: {ready.source}"]
    if args.fit:
        lines.append("  " + ", ".join(f"{name} {value:g}" for name, value in ready.engine.times.as_json().items()))
    lines += _table(found)
    if "people" in found:
        more = " or more" if found["people"] == slo.MOST_PEOPLE else ""
        held = f"up to {found['people']}{more} people at once" if found["people"] else "not even with one person"
        lines += ["", f"{args.slo} with {args.prompt_tokens} + {args.max_tokens} tokens: {held}"]
    elif "stages" in found:
        lines += _refused(ready, found["stages"])
    sys.stdout.write("\n".join(lines) + "\n")


def _refused(ready: _Ready, rows: list[dict[str, Any]]) -> Iterator[str]:
    """A line where somebody would have been refused: the simulated gateway lets all of them wait."""
    late = [row["load"] for row in rows if row["ttft_p95_ms"] > 1000 * ready.patience_s]
    if late and ready.gate:
        yield f"With {', '.join(late)} the gateway would refuse some: who has waited {ready.patience_s:g} s is told so."


def _table(found: dict[str, Any]) -> Iterator[str]:
    if "ratios" in found:
        yield "simulated / measured; 1.00: the same"
        yield f"{'users':>5}  " + "  ".join(f"{name:>19}" for name in measured.COMPARED)
        for row in found["ratios"]:
            yield f"{row['load']:>5}  " + "  ".join(f"{row[name]:>19.2f}" for name in measured.COMPARED)
        return
    yield _HEAD
    for row in found["stages"]:
        ttft = f"{row['ttft_p50_ms']:>7.0f} / {row['ttft_p95_ms']:<5.0f}"
        itl = f"{row['itl_p50_ms']:>6.1f} / {row['itl_p95_ms']:<5.1f}"
        peaks = f"{row['kv_peak']:>7.0%}  {row['batch_peak']:>10.0f}  {row['preempted']:>9.1%}"
        whole = f"{row['total_time_s']:>8.2f} s  {row['output_tokens_per_s']:>6.0f}"
        yield f"{row['load']:>5}  {whole}  {ttft}  {itl}  {peaks}"


def keep(wanted: profile.Profile, model: str, ready: _Ready) -> Path:
    """Append what was learned to the catalog's records; the file."""
    path = Path(catalog.__file__).with_name("step_times.yaml")
    record = {
        "model": model,
        "hardware": known.hardware_of(wanted),
        "weights": memory.precision(wanted, wanted.facts),
        "engine": catalog.engine().version,
        "date": datetime.datetime.now(datetime.UTC).date(),
        "source": ready.source.removeprefix("learned from "),
        "times": ready.engine.times.as_json(),
    }
    text = yaml.safe_dump([record], sort_keys=False, default_flow_style=None, width=120)
    with path.open("a", encoding="utf-8") as file:
        file.write("".join(f"  {line}\n" for line in text.splitlines()))
    return path
