"""A joined table for a terminal, a spreadsheet and a page. A dash is "not known"."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import astuple, fields
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from common.printable import cell
from loadtest.report import text_table
from loadtest.report.multi import MultiReport, MultiReportRow

_TEMPLATES = Path(__file__).parent / "templates"
HEADINGS = (
    "users",
    "total time",
    "tok/s",
    "TTFT p50/p95",
    "ITL p50/p95",
    "memory",
    "KV peak of tokens",
    "preempted",
    "failures",
)


def headings(found: MultiReport) -> list[str]:
    return ["model", *(["server"] if found.several_servers else []), *HEADINGS]


def cells(row: MultiReportRow, found: MultiReport) -> list[str]:
    """One row as texts, in the order of the headings."""
    marks = ("" if row.complete else "*") + ("" if row.believed else "!")
    rate = row.output_tokens_per_s
    return [
        row.model,
        *([row.server] if found.several_servers else []),
        (str(row.users) if row.users is not None else row.label) + marks,
        text_table.number(row.total_time_s, 2, " s"),
        text_table.number(rate, 1 if (rate or 0) < 100 else 0),
        _pair(row.ttft_p50_ms, row.ttft_p95_ms),
        _pair(row.itl_p50_ms, row.itl_p95_ms),
        text_table.memory(row.memory_peak_bytes),
        _kv(row),
        text_table.number(row.preemptions),
        f"{row.failures} of {row.requests}" if row.failures else "0",
    ]


def _pair(p50: float | None, p95: float | None) -> str:
    return text_table.pair(None if p50 is None or p95 is None else {"p50": p50, "p95": p95})


def _kv(row: MultiReportRow) -> str:
    if row.kv_peak is None and row.kv_tokens is None:
        return text_table.DASH
    peak = text_table.peak(text_table.share(row.kv_peak), row.kv_samples)
    size = text_table.DASH if row.kv_tokens is None else f"{row.kv_tokens:,}"
    return f"{peak} of {size}{' planned' if row.kv_tokens_are == 'planned' else ''}"


def legend(found: MultiReport) -> list[str]:
    """What the marks of the rows mean, where there are any."""
    lines = []
    if not all(row.complete for row in found.rows):
        lines.append("* stopped before its end")
    if not all(row.believed for row in found.rows):
        lines.append("! not to be believed, see the verdict")
    return lines


def text(found: MultiReport) -> str:
    """Models by users; a model's and a server's name stand only where they change."""
    names = _names(found)
    lines_of, before = [headings(found)], [""] * names
    for row in found.rows:
        line = cells(row, found)
        lines_of.append(_without(line, before, names))
        before = line[:names]
    widths = [max(len(line[column]) for line in lines_of) for column in range(len(lines_of[0]))]
    lines = ["  ".join(_placed(line, widths, names)).rstrip() for line in lines_of]
    lines.insert(1, "  ".join("-" * width for width in widths))
    lines += legend(found)
    lines.append("")
    for name, verdict in found.verdicts.items():
        lines.append(f"verdict of {name}: {verdict['headline']}")
        lines += [f"  - {reason}" for reason in verdict["reasons"]]
    lines += [f"knee of {called(model, server, found)}: {knee}" for model, server, knee in found.knees]
    return "\n".join([*lines, *(f"note: {note}" for note in found.notes)])


def called(model: str, server: str, found: MultiReport) -> str:
    return f"{model}, {server}" if found.several_servers else model


def _names(found: MultiReport) -> int:
    """How many of the first columns are names."""
    return 2 if found.several_servers else 1


def _without(line: list[str], before: Sequence[str], names: int) -> list[str]:
    """The line without the names that the line above has; another model's server is named again."""
    shared = 0
    while shared < names and line[shared] == before[shared]:
        shared += 1
    return [""] * shared + line[shared:]


def _placed(line: Sequence[str], widths: Sequence[int], names: int) -> list[str]:
    """Names to the left, numbers to the right."""
    return [(value.ljust if at < names else value.rjust)(widths[at]) for at, value in enumerate(line)]


def as_csv(found: MultiReport) -> str:
    """Every field of every row; an empty cell is "not known"."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([one.name for one in fields(MultiReportRow)])
    writer.writerows([cell(value) for value in astuple(row)] for row in found.rows)
    return stream.getvalue()


def as_html(found: MultiReport) -> str:
    """One file, nothing fetched, no script."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template("table.html.j2").render(
        found=found,
        headings=headings(found),
        names=_names(found),
        rows=[cells(row, found) for row in found.rows],
        legend=legend(found),
        knees=[(called(model, server, found), knee) for model, server, knee in found.knees],
    )
