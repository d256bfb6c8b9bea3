"""A measured point: one stage of one side, its repeats taken together. What tables, charts, targets and `diff` compare.

Made from the report's data alone, so that an old report can be judged again. Percentiles are over the good answers of
all repeats; rates and total times are one value a repeat, shown as their mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from loadtest.analysis import intervals
from loadtest.analysis.intervals import CONFIDENCE, Estimate
from loadtest.client.token_counts import between

FAMILIES = ("ttft", "itl", "tpot", "e2e", "ttft_from_plan", "e2e_from_plan")
_QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
_OF_STAGES = ("total_time_s", "output_tokens_per_s", "requests_per_s")
HIGHER_IS_BETTER = ("output_tokens_per_s", "requests_per_s", "goodput_per_s", "attainment")
METRICS = (
    *_OF_STAGES,
    *(f"{family}_{name}_ms" for family in FAMILIES for name in (*_QUANTILES, "mean")),
    "goodput_per_s",
    "attainment",
    "memory_peak_bytes",
    "failures",
)


@dataclass(frozen=True, slots=True)
class Slo:
    """What a good answer is, in milliseconds; None is no condition. From the intended start, as a person lives it."""

    ttft_ms: float | None = 1000.0
    tpot_ms: float | None = 100.0
    e2e_ms: float | None = None

    def as_dict(self) -> dict[str, float | None]:
        return asdict(self)

    @property
    def text(self) -> str:
        wanted = (("TTFT", self.ttft_ms), ("TPOT", self.tpot_ms), ("whole answer", self.e2e_ms))
        return ", ".join(f"{name} ≤ {limit:g} ms" for name, limit in wanted if limit is not None)


@dataclass(frozen=True, slots=True)
class Point:
    """`values`: by family, sorted, milliseconds. `judged`: requests of which the SLO can be told."""

    side: str
    position: int
    label: str
    users: int | None
    stages: tuple[Mapping[str, Any], ...]
    values: Mapping[str, Sequence[float]]
    good_per_stage: tuple[int, ...]
    judged: int

    @property
    def mode(self) -> str:
        return str(self.stages[0]["mode"])

    @property
    def requests(self) -> int:
        return sum(int(stage["client"]["requests"]) for stage in self.stages)

    @property
    def failures(self) -> int:
        return sum(sum(stage["client"]["failures"].values()) for stage in self.stages)

    @property
    def answers(self) -> int:
        return self.requests - self.failures

    @property
    def valid(self) -> bool:
        return all(stage["valid"] for stage in self.stages)

    @property
    def complete(self) -> bool:
        return all(stage["complete"] for stage in self.stages)

    @property
    def output_tokens_mean(self) -> float | None:
        tokens = sum(stage["client"]["output_tokens"] for stage in self.stages)
        return tokens / self.answers if self.answers else None

    def estimate(self, metric: str, confidence: float = CONFIDENCE) -> Estimate | None:
        """A metric by its name in METRICS; None when it could not be determined."""
        if metric in _OF_STAGES:
            known = [v for stage in self.stages if (v := stage["client"][metric]) is not None]
            return intervals.mean(known, confidence)
        if metric == "failures":
            return Estimate(float(self.failures), None, None, self.requests)
        if metric == "memory_peak_bytes":
            peaks = [v for stage in self.stages if (v := stage["server"]["memory_peak_bytes"]) is not None]
            return Estimate(max(peaks), None, None, len(peaks)) if peaks else None
        if metric == "attainment":
            return intervals.wilson(sum(self.good_per_stage), self.judged)
        if metric == "goodput_per_s":
            return intervals.mean(self._goodput(), confidence)
        return self._of_family(metric, confidence)

    def repeats(self, metric: str) -> list[float]:
        """The metric of each repeat alone, where it is one value a repeat."""
        return [v for stage in self.stages if (v := stage["client"].get(metric)) is not None]

    def _goodput(self) -> list[float]:
        pairs = zip(self.stages, self.good_per_stage, strict=True)
        return [good / seconds for stage, good in pairs if (seconds := stage["client"]["total_time_s"])]

    def _of_family(self, metric: str, confidence: float) -> Estimate | None:
        family, statistic = metric.removesuffix("_ms").rsplit("_", 1)
        ranked = self.values[family]
        if not ranked:
            return None
        if statistic == "mean":
            return Estimate(fmean(ranked), None, None, len(ranked))
        alone = self.answers if family == "itl" else None
        return intervals.quantile(ranked, _QUANTILES[statistic], independent=alone, confidence=confidence)


def points(report: Mapping[str, Any], slo: Slo | None = None) -> list[Point]:
    """All points, in the order of their sides, then of their positions. `slo`: else the report's own."""
    wanted = slo or slo_of(report)
    rows: dict[int, list[dict[str, Any]]] = {}
    columns = report["records"]["columns"]
    for row in report["records"]["rows"]:
        record = dict(zip(columns, row, strict=True))
        rows.setdefault(record["stage"], []).append(record)
    found = []
    for side in side_names(report):
        for position in sorted({stage["position"] for stage in report["stages"] if stage["side"] == side}):
            stages = tuple(s for s in report["stages"] if s["side"] == side and s["position"] == position)
            found.append(_point(stages, [rows.get(stage["number"], []) for stage in stages], wanted))
    return found


def slo_of(report: Mapping[str, Any]) -> Slo:
    return Slo(**report["slo"]) if report.get("slo") else Slo()


def side_names(report: Mapping[str, Any]) -> list[str]:
    """In the order of the run; of the stages alone where a report names no sides."""
    return [str(side["name"]) for side in report["sides"]] or list(dict.fromkeys(s["side"] for s in report["stages"]))


def _point(stages: Sequence[Mapping[str, Any]], rows: Sequence[Sequence[Mapping[str, Any]]], slo: Slo) -> Point:
    good = [row for records in rows for row in records if row["outcome"] == "ok"]
    verdicts = [[_within(row, slo) for row in records] for records in rows]
    first = stages[0]
    return Point(
        side=first["side"],
        position=first["position"],
        label=first["label"],
        users=first["users"],
        stages=tuple(stages),
        values={family: sorted(value for row in good for value in times(row, family)) for family in FAMILIES},
        good_per_stage=tuple(sum(found is True for found in one) for one in verdicts),
        judged=sum(found is not None for one in verdicts for found in one),
    )


def times(row: Mapping[str, Any], family: str) -> Iterator[float]:
    """The values, in milliseconds, that one good answer has in a family."""
    if row["first_us"] is None or row["last_us"] is None:
        return
    if family == "itl":
        for gap_us, count in between(tuple(gap) if isinstance(gap, list) else (gap, 1) for gap in row["gaps_us"]):
            yield from [gap_us / 1000] * count
    elif family == "tpot":
        following = row["output_tokens"] - row.get("first_tokens", row["first_events"])
        if following >= 1 and row["last_us"] > row["first_us"]:
            yield (row["last_us"] - row["first_us"]) / following / 1000
    else:
        begin = row["plan_us" if family.endswith("_from_plan") else "send_us"]
        yield (row["first_us" if family.startswith("ttft") else "last_us"] - begin) / 1000


def _within(row: Mapping[str, Any], slo: Slo) -> bool | None:
    """Whether an answer keeps the SLO; a failure does not; None when a condition cannot be told of it."""
    if row["outcome"] != "ok":
        return False
    limits = (("ttft_from_plan", slo.ttft_ms), ("e2e_from_plan", slo.e2e_ms), ("tpot", slo.tpot_ms))
    unknown = False
    for family, limit in limits:
        value = next(times(row, family), None)
        if limit is not None and value is not None and value > limit:
            return False
        unknown = unknown or (limit is not None and value is None)
    return None if unknown else True
