"""What goes on on the screen until somebody leaves it: `top`, and logs that are followed."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from pathlib import Path

from fullbatch.core.errors import StateError
from fullbatch.runtime.compose import deployment as compose
from fullbatch.runtime.process import state
from fullbatch.runtime.process.deployment import tail
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
    known = [one for one in state.running(root) if profile in (None, one.profile)]
    in_docker = None if known else compose.running_profile()
    if in_docker and profile in (None, in_docker):
        return compose.logs(root, following)
    known = known or [one for one in [state.read(root, profile or "")] if one]
    if not known:
        raise StateError("nothing is running; logs of the last run are in .fullbatch/run/PROFILE/")
    for started in known[0].processes:
        for line in tail(Path(started.log), 1_000_000 if following else lines):
            sys.stdout.write(f"{started.name:8}| {line}\n")
    if following:
        follow(known[0])
    return 0


def follow(known: state.ProcessRun) -> None:
    """Further lines of all logs, as they come, while anything runs."""
    with contextlib.ExitStack() as stack:
        files = {
            started.name: stack.enter_context(Path(started.log).open(encoding="utf-8", errors="replace"))
            for started in known.processes
        }
        for file in files.values():
            file.seek(0, 2)
        while known.alive():
            for name, file in files.items():
                for line in file.readlines():
                    sys.stdout.write(f"{name:8}| {line}")
            sys.stdout.flush()
            time.sleep(0.3)
