"""Draws the figures at any width, with rich."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fullbatch.top.figures import Figures
from fullbatch.top.sources import MetricsSource

if TYPE_CHECKING:  # loaded when something is drawn: every other command answers faster without it
    from rich.console import Group, RenderableType
    from rich.table import Table
    from rich.text import Text

NARROW = 64  # columns; below this the bars go under their numbers and the key table loses two columns
KEYS_SHOWN = 10
_SPARKS = " ▁▂▃▄▅▆▇█"
_STATES = {"ready": "green", "always": "green", "loading": "yellow", "failed": "red", "asleep": "dim", "stopped": "dim"}
_COLOURS = {
    "idle": "dim",
    "no model is loaded": "dim",
    "a model is being loaded": "yellow",
    "room left": "green",
    "KV cache full": "yellow",
    "all slots taken": "blue",
}


def picture(source: MetricsSource, now: Figures, history: Sequence[float], width: int, height: int = 50) -> Group:
    """What fills a terminal of `width` columns and `height` lines. `history`: tokens per second, oldest first."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [_headline(source, now), Text()]
    parts += [_bars(now, width), Text(), _numbers(now, width)]
    if len(history) > 1:
        parts.append(Text(f"tok/s {sparkline(history, max(10, min(60, width - 8)))}", style="cyan", no_wrap=True))
    if now.models:
        shown = max(1, min(len(now.models), height - 19))
        parts += [Text(), _models(now, width, shown)]
        height -= shown + 2 + (len(now.models) > shown)
    room = max(1, min(KEYS_SHOWN, height - 15))
    if now.keys:
        parts += [Text(), _keys(now, width, room)]
    return Group(*parts)


def _headline(source: MetricsSource, now: Figures) -> Text:
    from rich.text import Text

    line = Text(f"{source.profile}", style="bold", overflow="ellipsis", no_wrap=True)
    line.append(f"  {source.runtime}  ", style="dim")
    line.append(now.limit, style=_COLOURS.get(now.limit, "red"))
    if now.failed_share:
        line.append(f"  {now.failed_share:.1%} fail", style="red")
    return line


def _bars(now: Figures, width: int) -> Table:
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    waiting = (now.waiting_engine or 0) + (now.waiting_gateway or 0)
    slots = f"{_n(now.running)} of {_n(now.slots)} slots"
    used = now.kv_share * now.kv_tokens if now.kv_share is not None and now.kv_tokens else None
    tokens = f"{_k(used)} of {_k(now.kv_tokens)} tokens"
    in_use = now.running / now.slots if now.running is not None and now.slots else None
    length = 40 if width >= 100 else max(8, width - 50)
    for name, share, words in (("Batch", in_use, slots), ("KV cache", now.kv_share, tokens)):
        row = [name, _percent(share), words]
        table.add_row(*([*row[:1], bar(share, length), *row[1:]] if width >= NARROW else row))
    held = f"{_n(now.waiting_gateway)} gateway, {_n(now.waiting_engine)} engine"
    row = ["Waiting", _n(waiting), held]
    table.add_row(*([*row[:1], "", *row[1:]] if width >= NARROW else row))
    return table


def bar(share: float | None, length: int) -> str:
    """A share as so many characters."""
    filled = round(min(1.0, max(0.0, share or 0.0)) * length)
    return "█" * filled + "░" * (length - filled)


def _numbers(now: Figures, width: int) -> Table:
    from rich.table import Table

    cells = [
        ("Output", f"{_n(now.output_tokens_per_s)} tok/s"),
        ("Prompts", f"{_n(now.prompt_tokens_per_s)} tok/s"),
        ("First token p50", _seconds(now.ttft_p50_s)),
        ("p95", _seconds(now.ttft_p95_s)),
        ("One user", "-" if not now.tpot_s else f"{1 / now.tpot_s:.1f} tok/s"),
        ("Requests", f"{_decimal(now.requests_per_s)} /s"),
        ("Prefix cache", _percent(now.prefix_hit_share)),
        ("Preempted", f"{_decimal(now.preemptions_per_s)} /s"),
    ]
    if now.drafts_right_share is not None:
        cells += [
            ("Drafts right", _percent(now.drafts_right_share)),
            ("A draft brings", f"{_decimal(now.tokens_per_draft)} tok"),
        ]
    columns = 2 if width >= NARROW else 1
    table = Table.grid(padding=(0, 3))
    for start in range(0, len(cells), columns):
        row: list[str] = []
        for name, value in cells[start : start + columns]:
            row += [f"[dim]{name}[/dim]", value]
        table.add_row(*row)
    return table


def _models(now: Figures, width: int, room: int) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("Model", overflow="ellipsis", no_wrap=True, max_width=40 if width >= NARROW else 12)
    table.add_column("state", no_wrap=True)
    for heading in ("running", "waiting", *(("first waits",) if width >= NARROW else ())):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in now.models[:room]:
        wait = [_seconds(one.first_wait_s or None)] if width >= NARROW else []
        state = Text(one.state, style=_STATES.get(one.state, ""))
        table.add_row(one.name, state, _n(one.running), _n(one.waiting), *wait)
    if len(now.models) > room:
        table.add_row(f"and {len(now.models) - room} more", "", "", "", *([""] * (width >= NARROW)))
    return table


def _keys(now: Figures, width: int, room: int) -> Table:
    from rich.table import Table

    wide = width >= NARROW
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("Key", overflow="ellipsis", no_wrap=True, max_width=30 if wide else 16)
    for heading in ("running", "waiting", *(("requests/s", "tokens/s") if wide else ("tok/s",))):
        table.add_column(heading, justify="right", no_wrap=True)
    for key in now.keys[:room]:
        speed = [_decimal(key.requests), _n(key.tokens)] if wide else [_n(key.tokens)]
        table.add_row(key.name, _n(key.running), _n(key.waiting), *speed)
    if len(now.keys) > room:
        table.add_row(f"and {len(now.keys) - room} more", "", "", *([""] * (2 if wide else 1)))
    return table


def sparkline(values: Sequence[float], length: int) -> str:
    """The last `length` values, the highest of them full height."""
    last = values[-length:]
    top = max(last) or 1.0
    return "".join(_SPARKS[round(value / top * (len(_SPARKS) - 1))] for value in last)


def _n(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _k(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value / 1000:,.1f}k" if value >= 1000 else f"{value:.0f}"


def _decimal(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}"


def _seconds(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"
