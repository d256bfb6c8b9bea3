"""Results -> Markdown: the table, and what our gateway must reach."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bench.gateway.results import DIRECT, Figure, Results

Column = tuple[str, Callable[[Results, str], str]]


def _text(figure: Figure | None, form: str) -> str:
    return figure.text(form) if figure else ""


def _pair(figures: tuple[Figure | None, Figure | None], form: str) -> str:
    return " / ".join(filter(None, (_text(one, form) for one in figures)))


def _both(results: Results, target: str, cell: str) -> str:
    return _pair((results.added(target, cell, "ttft_p50_ms"), results.added(target, cell, "ttft_p99_ms")), ".1f")


_COLUMNS: tuple[Column, ...] = (
    ("gateway", lambda _, t: t),
    ("req/s, 50 connections", lambda r, t: _text(r.figure(t, "c50", "rps"), ".0f")),
    ("x direct", lambda r, t: _text(r.ratio(t, DIRECT, "c50", "rps"), ".3f")),
    ("CPU ms/request", lambda r, t: "" if t == DIRECT else _text(r.figure(t, "c50", "cpu_ms"), ".3f")),
    ("1 connection, p50 ms", lambda r, t: _text(r.figure(t, "c1", "p50_ms"), ".2f")),
    ("CPU us/paced chunk", lambda r, t: "" if t == DIRECT else _text(r.figure(t, "paced", "cpu_us"), ".0f")),
    ("delivered", lambda r, t: _text(r.figure(t, "paced", "delivered"), ".0%")),
    ("failed", lambda r, t: _text(r.figure(t, "paced", "failed"), ".0f")),
    ("TTFT added p50 / p99 ms", lambda r, t: _both(r, t, "paced")),
    ("gap p99 added ms", lambda r, t: _text(r.added(t, "paced", "gap_p99_ms"), ".1f")),
    ("burst: TTFT added p50 / p99 ms", lambda r, t: _both(r, t, "step")),
    ("burst: gap p99 added ms", lambda r, t: _text(r.added(t, "step", "gap_p99_ms"), ".1f")),
    ("RSS idle / peak MB", lambda r, t: _pair((r.once_of(t, "rss_idle_mb"), r.once_of(t, "rss_peak_mb")), ".0f")),
    ("start s", lambda r, t: _text(r.once_of(t, "start_s"), ".2f")),
    ("disk MB", lambda r, t: _text(r.once_of(t, "disk_mb"), ".1f")),
    ("quiet rounds", lambda r, t: str(r.quiet_rounds(t))),
)


def table(results: Results) -> str:
    """One row for each gateway; direct first, the absent ones last with the reason."""
    names = list(dict.fromkeys(name for each in results.rounds for name in each))
    names.sort(key=lambda name: (name != DIRECT, -_number(results.figure(name, "c50", "rps"))))
    rows = [[text(results, name) for _, text in _COLUMNS] for name in names]
    rows += [[name, f"absent: {why}", *[""] * (len(_COLUMNS) - 2)] for name, why in results.absent.items()]
    return _markdown([title for title, _ in _COLUMNS], rows)


def _number(figure: Figure | None) -> float:
    return figure.value if figure else 0.0


@dataclass(frozen=True, slots=True)
class BenchTarget:
    """A line of what must be reached: at least or at most ``must``, and what is aimed at."""

    name: str
    measured: Callable[[Results], Figure | None]
    must: float
    goal: float | None = None
    at_least: bool = False

    def row(self, results: Results) -> list[str]:
        figure = self.measured(results)
        sign = ">=" if self.at_least else "<="
        goal = "" if self.goal is None else f"{self.goal:g}"
        return [self.name, f"{sign} {self.must:g}", goal, _text(figure, ".3g"), self._verdict(figure)]

    def _verdict(self, figure: Figure | None) -> str:
        if figure is None:
            return "not measured"
        reached = "met" if self._reaches(figure.value, self.must) else "missed"
        if self.goal is not None and self._reaches(figure.value, self.goal):
            reached = "goal"
        return reached if figure.quiet else f"{reached}? (noisy)"

    def _reaches(self, value: float, limit: float) -> bool:
        return value >= limit if self.at_least else value <= limit


def _times_rps(other: str, must: float, goal: float | None = None) -> BenchTarget:
    return BenchTarget(
        f"requests/s, x {other}", lambda r: r.ratio("ours", other, "c50", "rps"), must, goal, at_least=True
    )


def _times_chunk(other: str, must: float) -> BenchTarget:
    return BenchTarget(f"CPU/chunk, x {other}", lambda r: r.ratio("ours", other, "paced", "cpu_us"), must)


def _added(what: str, cell: str, name: str, must: float, goal: float) -> BenchTarget:
    return BenchTarget(f"{what}, ms", lambda r: r.added("ours", cell, name), must, goal)


TARGETS = (
    _times_rps(DIRECT, 0.25, 0.33),
    _times_rps("nginx", 0.4, 0.55),
    _times_rps("envoy", 1.4, 2.0),
    _times_rps("vllm-router", 1.8, 2.0),
    _times_rps("production-stack", 15),
    _times_rps("litellm", 150),
    BenchTarget("CPU us/paced chunk", lambda r: r.figure("ours", "paced", "cpu_us"), 48, 39),
    _times_chunk("nginx", 1.5),
    _times_chunk("vllm-router", 1.15),
    BenchTarget("delivered, x direct", lambda r: r.ratio("ours", DIRECT, "paced", "delivered"), 1, 1, at_least=True),
    BenchTarget("failed streams", lambda r: r.figure("ours", "paced", "failed"), 0, 0),
    _added("TTFT added p50", "paced", "ttft_p50_ms", 1, 0.6),
    _added("TTFT added p99", "paced", "ttft_p99_ms", 8, 3.2),
    _added("inter-chunk gap added p99", "paced", "gap_p99_ms", 5, 2.5),
    _added("burst: inter-chunk gap added p99", "step", "gap_p99_ms", 14, 10),
    BenchTarget("RSS peak, MB", lambda r: r.once_of("ours", "rss_peak_mb"), 60, 28),
    BenchTarget("start to serving, s", lambda r: r.once_of("ours", "start_s"), 0.5, 0.2),
    BenchTarget("size on disk, MB", lambda r: r.once_of("ours", "disk_mb"), 40, 20),
)


def targets(results: Results) -> str:
    """Every figure that is asked for, measured, and whether it was reached."""
    return _markdown(["figure", "must", "goal", "measured", ""], [one.row(results) for one in TARGETS])


def _markdown(titles: list[str], rows: Iterable[list[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)
