"""Results of a bench as Markdown: what was measured, beside what was predicted. From the JSON alone."""

from __future__ import annotations

import json
import lzma
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fullbatch import catalog
from loadtest.analysis.points import Point, points
from loadtest.analysis.target_judge import judged
from loadtest.analysis.targets import read_target_file
from scripts.gpubench import predict
from scripts.gpubench.matrix import Cell, Matrix

_SHOWN = ("total_time_s", "output_tokens_per_s", "ttft_p50_ms", "itl_p50_ms")
_HEAD = (
    "| side | users | total s | predicted | tokens/s | predicted | TTFT p50 ms | predicted | ITL p50 ms | predicted |"
)
_RULE = "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"


_TARGETS = Path(__file__).resolve().parents[2] / "loadtest" / "targets.yaml"


@dataclass(frozen=True)
class Result:
    """A cell that was measured. `gateway`: the run of its first side directly and through the gateway."""

    cell: Cell
    facts: dict[str, Any]
    found: list[Point]
    report: dict[str, Any]
    gateway: list[Point]


def read(matrix: Matrix, out: Path) -> list[Result]:
    """What lies in `out`, in the matrix's order."""
    results = []
    for cell in matrix.cells:
        path = out / cell.name / "cell.json"
        if not path.exists():
            continue
        report, gateway = _report(path.parent, cell.sides[0]), _report(path.parent / "gateway")
        facts = json.loads(path.read_text(encoding="utf-8"))
        found = points(report) if report else []
        results.append(Result(cell, facts, found, report or {}, points(gateway) if gateway else []))
    return results


def _report(folder: Path, alone: str | None = None) -> dict[str, Any] | None:
    """The report with what was stopped half-way left out, judged again; None where there is none.

    `alone`: what the side of a run without another is called.
    """
    path, packed = folder / "report.json", folder / "report.json.xz"
    if path.exists():
        report = json.loads(path.read_bytes())
    elif packed.exists():  # so it is published: every token's time makes it large
        report = json.loads(lzma.decompress(packed.read_bytes()))
    else:
        return None
    whole = {stage["number"] for stage in report["stages"] if stage["complete"]}
    at = report["records"]["columns"].index("stage")
    rows = [row for row in report["records"]["rows"] if row[at] in whole]
    report |= {"stages": [stage for stage in report["stages"] if stage["number"] in whole]}
    report |= {"records": report["records"] | {"rows": rows}}
    if alone is not None and len(report["sides"]) == 1:  # a plain run calls its side "server"
        report["sides"] = [report["sides"][0] | {"name": alone}]
        report["stages"] = [stage | {"side": alone} for stage in report["stages"]]
    return judged(report, read_target_file(_TARGETS).targets)


def markdown(matrix: Matrix, out: Path) -> str:
    """The whole document's tables."""
    results = read(matrix, out)
    predicted = json.loads((out / "predictions.json").read_text(encoding="utf-8"))
    limits_file = out / "limits.json"
    limits = json.loads(limits_file.read_text(encoding="utf-8")) if limits_file.exists() else None
    lines: list[str] = []
    for one in results:
        said = predicted.get(one.cell.name, {})
        lines += [f"### {one.cell.name}", ""]
        lines += [*_speed_of(one.found, said), ""] if one.found else []
        lines += [*targets, ""] if (targets := _targets(one)) else []
        if one.gateway:
            lines += ["The first side directly and through its gateway:", ""]
            lines += [*_speed_of(one.gateway, {} if one.found else said), ""]
    lines += ["### Memory", "", *_memory(results), ""]
    if refused := list(_refused(results)):
        lines += ["### Starts that were refused", "", *refused, ""]
    if limits:
        lines += ["### Of the card's limits", "", *_limits(matrix, results, limits), ""]
    measured = {one.cell.name for one in results if one.found or one.gateway}
    missing = [cell.name for cell in matrix.cells if cell.name not in measured]
    lines += [f"Not measured: {', '.join(missing) or 'nothing'}."]
    return "\n".join(lines) + "\n"


def _speed_of(found: list[Point], predicted: dict[str, Any]) -> list[str]:
    rows = [_HEAD, _RULE]
    for point in found:
        said = predicted.get(point.side, {}).get("users", {}).get(str(point.users), {})
        cells = [point.side, str(point.users)]
        for metric in _SHOWN:
            value = point.estimate(metric)
            cells += [_number(value.value if value else None), _number(said.get(metric))]
        marks = ([f"{point.failures} failed"] if point.failures else []) + ([] if point.valid else ["client late"])
        cells[0] += f" ({', '.join(marks)})" if marks else ""
        rows.append("| " + " | ".join(cells) + " |")
    return rows


def _targets(one: Result) -> list[str]:
    if not one.report:
        return []
    judged_ones = [t for t in one.report["verdict"]["targets"] if t["status"] != "not judged"]
    return [f"- {t['target']}: **{t['status']}**. {t['reason']}" for t in judged_ones]


def _memory(results: list[Result]) -> Iterator[str]:
    yield (
        "| cell | side | engine | start s | on the card GiB | weights | peak of a step | graphs | KV tokens "
        "| predicted | error |"
    )
    yield "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    for one in results:
        for name, facts in one.facts.get("sides", {}).items():
            run = facts.get("calibration", {})
            cells = [one.cell.name, name, facts["engine"], facts["startup_seconds"], facts["card_gib"]]
            cells += [run.get(key) for key in ("weights_gib", "activation_gib", "graphs_gib", "kv_tokens_reported")]
            error = run.get("error")
            cells += [run.get("kv_tokens_predicted"), None if error is None else f"{error:+.1%}"]
            yield "| " + " | ".join("–" if cell is None else str(cell) for cell in cells) + " |"


def _refused(results: list[Result]) -> Iterator[str]:
    for one in results:
        for name, said in one.facts.get("refused", {}).items():
            plan = f"the plan said: {said['predicted']}" if said["predicted"] else "the plan saw nothing wrong"
            engine = "it started" if said["started"] else f"the engine: {_cause(said.get('engine_says', ''))}"
            yield f"- {one.cell.name}, {name}: {plan}; {engine}"


def _cause(text: str) -> str:
    lines = [line for line in text.splitlines() if line.startswith(("why:", "the cause"))]
    return (lines or text.splitlines() or ["no words"])[0][:400]


def _limits(matrix: Matrix, results: list[Result], limits: dict[str, Any]) -> Iterator[str]:
    """Decoding against the card's own copy; the floor of a step reads every weight and the KV cache once."""
    reached = f"a copy moves {limits['copy_gbs']} GB/s, a bf16 product runs at {limits['bf16_tflops']} TFLOP/s"
    yield f"{limits['card']}: {reached}."
    yield ""
    yield "| cell | side | users | ITL p50 ms | least possible ms | share |"
    yield "| --- | --- | ---: | ---: | ---: | ---: |"
    for one in results:
        load = matrix.load_of(one.cell)
        model = catalog.models()[matrix.models[one.cell.model].repository]
        for point in one.found or one.gateway:
            itl = point.estimate("itl_p50_ms")
            if not point.side.startswith("ours") or point.side not in matrix.sides or not point.users or itl is None:
                continue
            precision = matrix.sides[point.side].precision
            context = load.prompt_tokens + load.output_tokens / 2
            floor = predict.floor_s(model, precision, limits["copy_gbs"], point.users, context) * 1000
            numbers = f"{itl.value:.2f} | {floor:.2f} | {floor / itl.value:.0%}"
            yield f"| {one.cell.name} | {point.side} | {point.users} | {numbers} |"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
