"""Live output until somebody stops it: `top`, and logs that are followed."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from pathlib import Path

from fullbatch.core.errors import StateError
from fullbatch.runtime import registry
from fullbatch.top import keys, loop, sources
from fullbatch.top.screen import picture


def look(source: sources.MetricsSource, interval: float, *, once: bool, as_json: bool) -> bool:
    """Draw what runs, again and again, or once; False if neither gateway nor engine answered that one time."""
    from rich.console import Console
    from rich.live import Live

    console = Console()
    live = Live(console=console, screen=True, auto_refresh=False) if not (once or as_json) else None
    with live or contextlib.nullcontext(), keys.pressed() if live else contextlib.nullcontext(time.sleep) as sleep:
        for frame in loop.frames(source, interval, sleep):
            if as_json:
                sys.stdout.write(json.dumps(loop.as_json(source, frame.figures)) + "\n")
                sys.stdout.flush()
            else:
                drawn = picture(source, frame.figures, frame.history, console.width, console.height)
                live.update(drawn, refresh=True) if live else console.print(drawn)
            if once:
                return frame.figures.gateway_answers or frame.figures.engine_answers
    return True


def logs(root: Path, profile: str | None, lines: int, following: bool) -> int:
    """The last `lines` of what runs, or of the last run of `profile`, and what comes after if asked; an exit code."""
    found = registry.only(root, profile, "fullbatch logs PROFILE")
    found = found or (registry.stopped(root, profile) if profile else None)
    if found is None:
        raise StateError("nothing is running; for the logs of the last run: fullbatch logs PROFILE")
    return found.show_logs(lines, following, _write)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
