"""The report as data: what report.json holds (report_schema.json describes it) and how it is written and read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson
from jinja2 import TemplateError

from common.printable import one_line
from loadtest.analysis.client_health import ClientHealth
from loadtest.analysis.metrics import ClientMetrics
from loadtest.analysis.verdict import RunVerdict
from loadtest.client.record import Record
from loadtest.client.token_counts import first_tokens, tokens_of
from loadtest.core.errors import UsageProblem
from loadtest.engines.sampling import Sample, ServerMetrics
from loadtest.workload.arrivals import StagePlan

VERSION = 2
SCHEMA = f"fullbatch.loadtest/{VERSION}"
RECORD_COLUMNS = (
    "stage user index plan_us send_us wire_us first_us last_us end_us status outcome detail "
    "prompt_tokens cached_tokens output_tokens text_events reads first_events finish gaps_us "
    "begun_us kind turn max_tokens refusals waited_us key first_tokens"
).split()


@dataclass(frozen=True, slots=True)
class StageReport:
    """One stage. `start_s` and `end_s` count from the run's start; `planned` requests, None where time was the plan."""

    plan: StagePlan
    planned: int | None
    complete: bool
    warmup_failures: dict[str, int]
    start_s: float
    end_s: float
    client: ClientMetrics
    by_kind: Mapping[str, ClientMetrics]
    health: ClientHealth
    server: ServerMetrics
    by_model: Mapping[str, ClientMetrics] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The plan's fields lie beside the others."""
        whole = asdict(self)
        plan = whole.pop("plan")
        return {**plan, **whole, "label": self.plan.label, "valid": self.health.valid}


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A finished, or interrupted, run. `zero` is the perf_counter_ns from which all its times count.

    `samples` are by side. `doubts` are reasons not to believe the run as a whole.
    """

    started_at: str
    zero: int
    arguments: Mapping[str, Any]
    workload: Mapping[str, Any]
    meta: Mapping[str, Any]
    client: Mapping[str, Any]
    stages: Sequence[StageReport]
    records: Sequence[Record]
    samples: Mapping[str, Sequence[Sample]]
    verdict: RunVerdict
    sides: Sequence[Mapping[str, Any]] = ()
    doubts: Sequence[str] = ()


# What `as_dict` writes and a page is made of.
_PARTS = frozenset(
    {"schema", "started_at", "complete", "verdict", "arguments", "workload", "meta", "client", "stages", "records"}
    | {"samples", "sides", "doubts"}
)


def as_dict(run: FinishedRun) -> dict[str, Any]:
    """The whole report as plain JSON values. Times of records in microseconds from the run's start."""
    return {
        "schema": SCHEMA,
        "started_at": run.started_at,
        "complete": run.verdict.kind != "incomplete",
        "verdict": {**asdict(run.verdict), "exit_code": run.verdict.exit_code},
        "arguments": dict(run.arguments),
        "workload": dict(run.workload),
        "meta": dict(run.meta),
        "client": dict(run.client),
        "stages": [stage.as_dict() for stage in run.stages],
        "records": {
            "columns": RECORD_COLUMNS,
            "rows": [_row(record, run.zero) for record in run.records],
        },
        "samples": [
            {"at_s": (s.at - run.zero) / 1e9, "side": side, **_without_at(asdict(s))}
            for side, samples in run.samples.items()
            for s in samples
        ],
        "sides": [dict(side) for side in run.sides],
        "doubts": list(run.doubts),
    }


def _without_at(sample: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in sample.items() if name != "at"}


def _row(record: Record, zero: int) -> list[Any]:
    def micro(at: int | None) -> int | None:
        return None if at is None else (at - zero) // 1000

    answer = record.answer
    usage, tokens = answer.usage, tokens_of(answer)
    times = (record.plan, record.send, record.wire, answer.first, answer.last, record.end)
    return [
        record.stage,
        record.user,
        record.index,
        *(micro(at) for at in times),
        record.status,
        str(record.outcome),
        record.detail,
        usage.prompt if usage else None,
        usage.cached if usage else None,
        record.tokens,
        answer.events,
        answer.reads,
        answer.first_events,
        answer.finish,
        # One number a read; [gap, tokens] where a read did not bring one token.
        [gap // 1000 if count == 1 else [gap // 1000, round(count, 3)] for gap, count in tokens.gaps],
        micro(record.begun),
        record.kind,
        record.turn,
        record.max_tokens,
        record.refusals,
        record.waited // 1000,
        record.key,
        first_tokens(answer),
    ]


def write_json(report: Mapping[str, Any], directory: Path) -> Path:
    """Whole or not at all: a reader never sees half a report."""
    return write(directory / "report.json", orjson.dumps(report, option=orjson.OPT_SERIALIZE_DATACLASS))


def write(path: Path, content: bytes) -> Path:
    """Raises UsageProblem when the file cannot be written."""
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        raise UsageProblem(f"{path}: {(error.strerror or str(error)).lower()}; choose another --out") from error
    return path


def read_json(place: Path) -> dict[str, Any]:
    """`place`: the report's folder, or the file itself. Raises UsageProblem when there is no report of this version."""
    path = place if place.is_file() else place / "report.json"
    try:
        report = orjson.loads(path.read_bytes())
    except OSError as error:
        raise UsageProblem(f"{path}: {error.strerror or error}") from error
    except ValueError as error:  # not JSON, or a path that cannot be
        raise UsageProblem(f"{path}: not a JSON report: {error}") from error
    found = report.get("schema") if isinstance(report, dict) else None
    if found != SCHEMA:
        raise UsageProblem(
            f"{path}: schema is {one_line(repr(found), 60)}, only '{SCHEMA}' can be read; run the load test again"
        )
    missing = sorted(_PARTS - report.keys())
    if missing:
        raise UsageProblem(f"{path}: not a whole report, it has no {', '.join(missing)}; run the load test again")
    return dict(report)


@contextmanager
def of_reports(*places: Path) -> Iterator[None]:
    """Around what is made of reports that were read. A report has no checks of its own beyond its parts: whoever wrote
    into it, or lost half of it, gets one line and not the place in our code where that came up.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, StopIteration, TemplateError) as error:
        which = " or ".join(str(place) for place in places)
        why = one_line(f"{type(error).__name__}: {error}")
        raise UsageProblem(f"{which}: a damaged report ({why}); run the load test again") from error
