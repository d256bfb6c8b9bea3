"""Geometry of the report's charts: numbers in, coordinates out. Pure; templates/chart.svg.j2 draws them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

WIDTH, HEIGHT = 480, 264
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 22, 42

ChartPoint = tuple[float, float | None]


@dataclass(frozen=True, slots=True)
class Series:
    """One line. Points in data units; a None breaks the line, so that missing data is a gap and not a zero.

    `bars` are intervals, (x, low, high); `marks` are words beside the points, one each.
    """

    name: str
    points: Sequence[ChartPoint]
    style: int
    dashed: bool = False
    dots: bool = True
    bars: Sequence[tuple[float, float, float]] = ()
    marks: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Tick:
    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Dot:
    x: float
    y: float
    title: str
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Bar:
    """An interval, drawn upright."""

    x: float
    top: float
    bottom: float


@dataclass(frozen=True, slots=True)
class ChartLine:
    name: str
    style: int
    dashed: bool
    path: str
    dots: list[Dot]
    bars: list[Bar]


@dataclass(frozen=True, slots=True)
class Band:
    """A shaded stretch of the x axis, with its label where it fits."""

    x: float
    width: float
    label: str
    title: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawn chart, ready for the template. `empty` says why there is nothing to draw."""

    title: str
    x_label: str
    y_label: str
    lines: list[ChartLine] = field(default_factory=list)
    x_ticks: list[Tick] = field(default_factory=list)
    y_ticks: list[Tick] = field(default_factory=list)
    bands: list[Band] = field(default_factory=list)
    empty: str = ""


@dataclass(frozen=True, slots=True)
class Axes:
    """What a chart is called and measured in. `unit` and `x_unit` follow the values in hover titles."""

    title: str
    x_label: str
    y_label: str
    unit: str = ""
    x_unit: str = ""
    empty: str = "nothing was measured"


def round_ticks(highest: float, wanted: int = 5) -> list[float]:
    """0 and up, in steps of 1, 2 or 5 times a power of ten, to the first at or above the highest."""
    if not highest > 1e-9 or not math.isfinite(highest):
        return [0.0, 1.0]
    raw = highest / wanted
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * 0.999)
    return [step * index for index in range(math.ceil(highest / step - 1e-9) + 1)]


def range_ticks(lowest: float, highest: float) -> list[float]:
    """Round values from at or below the lowest to at or above the highest, about six of them."""
    apart = highest - lowest
    step = round_ticks(apart if apart > 1e-6 * highest else highest, 6)[1]
    first, last = math.floor(lowest / step + 1e-9), math.ceil(highest / step - 1e-9)
    return [step * index for index in range(first, last + 1)]


def tick_label(value: float) -> str:
    return f"{value / 1000:g}k" if value >= 1000 else f"{value:.6g}"


@dataclass(frozen=True, slots=True)
class _Frame:
    """The x axis: where a value goes, what a hover title calls it, and what is drawn on it."""

    place: Callable[[float], float]
    text: Callable[[float], str]
    ticks: list[Tick]
    bands: list[Band] = field(default_factory=list)


def by_category(axes: Axes, categories: Sequence[str], series: Sequence[Series]) -> Chart:
    """Evenly spaced categories (1, 5, 10, 50 users): a series' x is the category's index."""
    step = _plot_width() / max(1, len(categories))

    def place(index: float) -> float:
        return LEFT + step * (index + 0.5)

    def text(index: float) -> str:
        return categories[int(index)] + (f" {axes.x_unit}" if axes.x_unit else "")

    ticks = [Tick(place(index), name) for index, name in enumerate(categories)]
    return _draw(axes, series, _Frame(place, text, ticks))


def over_range(
    axes: Axes,
    series: Sequence[Series],
    bands: Sequence[tuple[float, float, str]] = (),
    y_top: float | None = None,
    from_zero: bool = True,
) -> Chart:
    """A continuous x axis, from 0 or from just below the lowest x. Bands are (from, to, label) in x units."""
    values = [x for one in series for x, _ in one.points] + [end for _, end, _ in bands]
    lowest, highest = (0.0 if from_zero else min(values, default=0.0)), max(values, default=0.0) or 1.0
    grid = range_ticks(lowest, highest)
    bottom, top = min(grid[0], lowest), max(highest + 0.02 * (highest - lowest), grid[0] + 1e-9)

    def place(x: float) -> float:
        return LEFT + _plot_width() * (x - bottom) / (top - bottom)

    def text(x: float) -> str:
        return f"{x:.4g} {axes.x_unit}"

    ticks = [Tick(place(x), tick_label(x)) for x in grid if x <= top]
    return _draw(axes, series, _Frame(place, text, ticks, [_band(place(b), place(e), n) for b, e, n in bands]), y_top)


def staircase(values: Iterable[float]) -> list[ChartPoint]:
    """The share of values at or below each value, in percent, as corners."""
    ranked = sorted(values)
    corners: list[ChartPoint] = []
    for index, value in enumerate(ranked):
        corners += [(value, 100 * index / len(ranked)), (value, 100 * (index + 1) / len(ranked))]
    return corners


def distribution(values: Iterable[float], points: int = 200, upto: float = 0.995) -> list[ChartPoint]:
    """The share of values at or below each value, in percent: every corner of few values, `points` of many.

    Of many it ends at the quantile `upto`: the last few would squeeze all others into a corner.
    """
    ranked = sorted(values)
    if len(ranked) <= points:
        return staircase(ranked)
    steps = [upto * step / points for step in range(points + 1)]
    return [(ranked[int(q * (len(ranked) - 1))], 100 * q) for q in steps]


def _plot_width() -> float:
    return WIDTH - LEFT - RIGHT


def _band(start: float, end: float, label: str) -> Band:
    wide = end - start >= 7 * len(label)
    return Band(round(start, 1), round(max(end - start, 1.0), 1), label if wide else "", label)


def _draw(axes: Axes, series: Sequence[Series], frame: _Frame, y_top: float | None = None) -> Chart:
    values = [y for one in series for _, y in one.points if y is not None]
    values += [high for one in series for _, _, high in one.bars]
    if not values:
        return Chart(axes.title, axes.x_label, axes.y_label, empty=axes.empty)
    y_steps = round_ticks(y_top or max(values), 4)
    height = HEIGHT - TOP - BOTTOM

    def rise(y: float) -> float:
        return TOP + height * (1 - y / y_steps[-1])

    def title(name: str, x: float, y: float) -> str:
        return f"{name}: {y:.4g} {axes.unit}".rstrip() + f" at {frame.text(x)}"

    lines = [_line(one, frame.place, rise, title) for one in series if any(y is not None for _, y in one.points)]
    y_ticks = [Tick(rise(y), tick_label(y)) for y in y_steps]
    return Chart(axes.title, axes.x_label, axes.y_label, lines, frame.ticks, y_ticks, frame.bands)


def _line(
    series: Series,
    place: Callable[[float], float],
    rise: Callable[[float], float],
    title: Callable[[str, float, float], str],
) -> ChartLine:
    path: list[str] = []
    dots: list[Dot] = []
    pen = "M"
    for x, y in series.points:
        if y is None:
            pen = "M"
            continue
        at_x, at_y = round(place(x), 1), round(rise(y), 1)
        path.append(f"{pen}{at_x:g} {at_y:g}")
        mark = series.marks[len(dots)] if len(dots) < len(series.marks) else ""
        dots.append(Dot(at_x, at_y, title(series.name, x, y), mark))
        pen = "L"
    bars = [Bar(round(place(x), 1), round(rise(high), 1), round(rise(low), 1)) for x, low, high in series.bars]
    return ChartLine(series.name, series.style, series.dashed, "".join(path), dots if series.dots else [], bars)
