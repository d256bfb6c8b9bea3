"""Several reports as one table: models by users. A machine mostly holds one model at a time, so each has its report.

Made from the reports' data alone. A number that a report does not have is None.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from loadtest.analysis.knee import knee
from loadtest.analysis.points import Point, points, side_names
from loadtest.analysis.target_judge import described
from loadtest.report.text_table import merged

SCHEMA = "fullbatch.table/1"
# What two reports must have asked alike, or their rows are of different loads.
_SAME = ("workload", "max_tokens", "prompt_tokens", "requests_per_user")
_SEVERITY = (0, 1, 130, 3)  # exit codes, the worst last: what cannot be believed outranks what is bad


@dataclass(frozen=True, slots=True)
class MultiReportRow:
    """One model on one server at one stage. Seconds, milliseconds, bytes; `kv_peak` is a share of `kv_tokens`.

    `kv_tokens`: what the engine's KV cache holds, as its report's meta says: the engine's own word where
    `kv_tokens_are` is "reported", the plan's where it is "planned".
    """

    model: str
    server: str
    report: str
    label: str
    mode: str
    users: int | None
    repeats: int
    requests: int
    failures: int
    complete: bool
    believed: bool
    total_time_s: float | None
    output_tokens_per_s: float | None
    ttft_p50_ms: float | None
    ttft_p95_ms: float | None
    itl_p50_ms: float | None
    itl_p95_ms: float | None
    memory_peak_bytes: float | None
    kv_tokens: int | None
    kv_tokens_are: str | None
    kv_peak: float | None
    kv_samples: int
    preemptions: float | None


@dataclass(frozen=True, slots=True)
class MultiReport:
    """`verdicts`: of each report by its name; `knees`: (model, server, sentence); `notes`: what makes rows unlike."""

    rows: Sequence[MultiReportRow]
    verdicts: Mapping[str, Mapping[str, Any]]
    knees: Sequence[tuple[str, str, str]]
    notes: Sequence[str]

    @property
    def exit_code(self) -> int:
        """The worst of the reports'."""
        return max((int(verdict["exit_code"]) for verdict in self.verdicts.values()), key=_SEVERITY.index)

    @property
    def several_servers(self) -> bool:
        """Whether a model alone does not say which server a row is of."""
        return len({(row.model, row.server) for row in self.rows}) > len({row.model for row in self.rows})

    def as_dict(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "exit_code": self.exit_code,
            "verdicts": {name: dict(verdict) for name, verdict in self.verdicts.items()},
            "rows": [asdict(row) for row in self.rows],
            "knees": [{"model": model, "server": server, "text": text} for model, server, text in self.knees],
            "notes": list(self.notes),
        }


def joined(reports: Mapping[str, Mapping[str, Any]]) -> MultiReport:
    """`reports` by a name each. Rows of one model stand together, models in the order in which they first come."""
    rows: list[MultiReportRow] = []
    knees: list[tuple[str, str, str]] = []
    for name, report in reports.items():
        found, sides = points(report), side_names(report)
        for side in sides:
            model, server = described(report, side)["model"], side if len(sides) > 1 else name
            rows += [_row(point, report, model, (server, name)) for point in found if point.side == side]
            knees.append((model, server, knee(side, found).text))
    order = list(dict.fromkeys(model for model, _, _ in knees))
    rows.sort(key=lambda row: order.index(row.model))
    knees.sort(key=lambda one: order.index(one[0]))
    verdicts = {name: report["verdict"] for name, report in reports.items()}
    return MultiReport(rows, verdicts, knees, _unlike(reports))


def _row(point: Point, report: Mapping[str, Any], model: str, place: tuple[str, str]) -> MultiReportRow:
    server, name = place
    stage, said = merged(point), described(report, point.side)
    client, engine = stage["client"], stage["server"]
    kv_tokens, kv_are = _capacity(said)
    return MultiReportRow(
        model=model,
        server=server,
        report=name,
        label=point.label,
        mode=point.mode,
        users=point.users,
        repeats=len(point.stages),
        requests=point.requests,
        failures=point.failures,
        complete=point.complete,
        believed=point.valid and report["verdict"]["kind"] != "invalid",
        total_time_s=client["total_time_s"],
        output_tokens_per_s=client["output_tokens_per_s"],
        **{
            f"{family}_{q}_ms": (client[f"{family}_ms"] or {}).get(q)
            for family in ("ttft", "itl")
            for q in ("p50", "p95")
        },
        memory_peak_bytes=engine["memory_peak_bytes"],
        kv_tokens=kv_tokens,
        kv_tokens_are=kv_are,
        kv_peak=engine["kv_peak"],
        kv_samples=engine["samples"],
        preemptions=engine["preemptions"],
    )


def _capacity(said: Mapping[str, str]) -> tuple[int | None, str | None]:
    for word in ("reported", "planned"):
        value = said.get(f"kv_tokens_{word}", "")
        if value.isdecimal():
            return int(value), word
    return None, None


def _unlike(reports: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What the reports did not ask alike, a line each."""
    notes = []
    for name in _SAME:
        asked = {report: content["arguments"].get(name) for report, content in reports.items()}
        if len(set(asked.values())) > 1:
            told = ", ".join(f"{value} in {report}" for report, value in asked.items())
            notes.append(f"not the same load: {name.replace('_', ' ')} {told}")
    return notes
